#include "core/sink_document.hpp"

#include "core/error.hpp"
#include "core/json_members.hpp"

namespace meridian {
namespace {

std::string_view unquoted(std::string_view value) noexcept {
  return value.size() >= 2 && value.front() == '"' ? value.substr(1, value.size() - 2) : value;
}

/// A key or value without the wrapper of the envelopes `payload` and `schema`.
std::string_view unwrapped(std::string_view text) noexcept {
  const auto payload = find_member(text, "payload");
  return payload && payload->starts_with('{') && find_member(text, "schema") ? *payload : text;
}

void append_member(std::string& object, std::string_view name, std::string_view value) {
  if (object.size() > 1) object += ',';
  object += '"';
  object += name;
  object += "\":";
  object += value;
}

}  // namespace

std::optional<ChangedRow> parse_changed_row(std::string_view value) noexcept {
  const std::string_view event = unwrapped(value);
  ChangedRow row;
  std::optional<std::string_view> after;
  JsonMembers members(event);
  for (JsonMember member; members.next(&member);) {
    if (member.name == "op") {
      const std::string_view op = unquoted(member.value);
      row.op = op.size() == 1 ? op.front() : '\0';
    } else if (member.name == "after") {
      after = member.value;
    } else if (member.name == "source") {
      row.table = unquoted(find_member(member.value, "table").value_or(std::string_view{}));
      row.schema = unquoted(find_member(member.value, "schema").value_or(std::string_view{}));
    }
  }
  if (members.is_broken() || !after) return std::nullopt;
  if (row.op == 'd') return row;
  if ((row.op != 'c' && row.op != 'u' && row.op != 'r') || !after->starts_with('{')) return std::nullopt;
  row.after = *after;
  return row;
}

std::optional<EventTable> parse_table_of(std::string_view value) noexcept {
  const auto source = find_member(unwrapped(value), "source");
  const auto schema = source ? find_member(*source, "schema") : std::nullopt;
  const auto table = source ? find_member(*source, "table") : std::nullopt;
  if (!schema || !table) return std::nullopt;
  return EventTable{unquoted(*schema), unquoted(*table)};
}

bool is_gap(std::string_view value) noexcept {
  return value == R"("__debezium_unavailable_value")" || value == R"("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==")" ||
         value == R"(["__debezium_unavailable_value"])" || value == R"(["b68a35a7-17ad-35b3-af2a-ae46edb4545a"])" ||
         // Arrays of numbers have the bytes of the text.
         value.starts_with("[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95");
}

bool has_gap(std::string_view row) noexcept {
  JsonMembers members(row);
  for (JsonMember member; members.next(&member);) {
    if (is_gap(member.value)) return true;
  }
  return false;
}

std::string fill_gaps(std::string_view row, std::string_view base) {
  std::string out = "{";
  JsonMembers members(row);
  for (JsonMember member; members.next(&member);) {
    append_member(out, member.name,
                  is_gap(member.value) ? find_member(base, member.name).value_or(member.value) : member.value);
  }
  return out += '}';
}

std::string without_gaps(std::string_view row) {
  std::string out = "{";
  JsonMembers members(row);
  for (JsonMember member; members.next(&member);) {
    if (!is_gap(member.value)) append_member(out, member.name, member.value);
  }
  return out += '}';
}

std::string fill_event(std::string_view event, std::string_view base) {
  const auto row = parse_changed_row(event);
  const auto base_row = parse_changed_row(base);
  if (!row || !base_row || !has_gap(row->after)) return std::string(event);
  const auto at = static_cast<std::size_t>(row->after.data() - event.data());
  std::string out(event.substr(0, at));
  out += fill_gaps(row->after, base_row->after);
  out += event.substr(at + row->after.size());
  return out;
}

std::optional<std::string> key_of_row(std::string_view row, std::string_view key_row) {
  std::string out = "{";
  JsonMembers members(key_row);
  for (JsonMember member; members.next(&member);) {
    const auto value = find_member(row, member.name);
    if (!value) return std::nullopt;
    append_member(out, member.name, *value);
  }
  return out += '}';
}

bool is_key_of(std::string_view key, std::string_view key_row) noexcept {
  const std::string_view given = unwrapped(key);
  std::size_t left = 0;
  JsonMembers wanted(key_row);
  for (JsonMember member; wanted.next(&member); ++left) {
    if (!find_member(given, member.name)) return false;
  }
  JsonMembers members(given);
  for (JsonMember member; members.next(&member);) {
    if (left-- == 0) return false;
  }
  return left == 0 && !members.is_broken();
}

std::string deletion_event(std::string_view truncation, std::string_view old_row, std::string_view key) {
  const std::string_view key_values = unwrapped(key);
  std::string before = "{";
  JsonMembers columns(old_row);
  for (JsonMember member; columns.next(&member);) {
    append_member(before, member.name, find_member(key_values, member.name).value_or(member.value));
  }
  const std::string_view payload = unwrapped(truncation);
  const auto head = static_cast<std::size_t>(payload.data() - truncation.data());
  std::string out(truncation.substr(0, head));
  if (!find_member(payload, "op")) {  // the envelope `flat`
    append_member(before, "__deleted", R"("true")");
    append_member(before, "__op", R"("d")");
    return out + before + '}';
  }
  before += '}';
  std::string event = "{";
  JsonMembers members(payload);
  for (JsonMember member; members.next(&member);) {
    append_member(event, member.name,
                  member.name == "before" ? std::string_view(before)
                  : member.name == "op"   ? std::string_view(R"("d")")
                                          : member.value);
  }
  out += event + '}';
  out += truncation.substr(head + payload.size());
  return out;
}

NameTemplate::NameTemplate(std::string_view text) {
  std::string plain;
  const auto fail = [](const char* what) {
    throw Error(ErrorKind::invalid_rule, what, "For example: user:{id}, or {table}:{key}.");
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("{{") || text.substr(i).starts_with("}}")) {
      plain += text[i++];
    } else if (text[i] == '}') {
      fail("a name template has a closing brace without an opening one");
    } else if (text[i] == '{') {
      const auto end = text.find('}', i);
      if (end == std::string_view::npos) fail("a name template has an opening brace without a closing one");
      if (end == i + 1) fail("a name template has empty braces");
      if (!plain.empty()) parts_.push_back({std::move(plain), false});
      plain.clear();
      parts_.push_back({std::string(text.substr(i + 1, end - i - 1)), true});
      i = end;
    } else {
      plain += text[i];
    }
  }
  if (!plain.empty()) parts_.push_back({std::move(plain), false});
  if (parts_.empty()) fail("a name template is empty");
}

std::optional<std::string> NameTemplate::fill(const Source& source) const {
  std::string out;
  const std::string_view key = unwrapped(source.key);
  for (const Part& part : parts_) {
    if (!part.is_name) {
      out += part.text;
    } else if (part.text == "table") {
      out += source.table;
    } else if (part.text == "schema") {
      out += source.schema;
    } else if (part.text == "topic") {
      out += source.topic;
    } else if (part.text == "key") {
      JsonMembers members(key);
      const std::size_t before = out.size();
      for (JsonMember member; members.next(&member);) {
        if (out.size() > before) out += ':';
        out += plain_text(member.value);
      }
      if (members.is_broken() || out.size() == before) return std::nullopt;
    } else {
      const auto value = find_member(key, part.text);
      if (!value) return std::nullopt;
      out += plain_text(*value);
    }
  }
  return out;
}

std::string NameTemplate::pattern(const Source& source, char escape) const {
  std::string out;
  bool ends_open = false;
  const auto append = [&](std::string_view text) {
    if (!text.empty()) ends_open = false;
    for (const char c : text) {
      if (escape != '\0' && std::string_view("*?[]^-\\").find(c) != std::string_view::npos) out += escape;
      out += c;
    }
  };
  for (const Part& part : parts_) {
    if (!part.is_name) {
      append(part.text);
    } else if (part.text == "table") {
      append(source.table);
    } else if (part.text == "schema") {
      append(source.schema);
    } else if (part.text == "topic") {
      append(source.topic);
    } else if (!ends_open) {
      out += '*';
      ends_open = true;
    }
  }
  return out;
}

}  // namespace meridian
