#include "core/mvreg.hpp"

#include <algorithm>
#include <tuple>

#include "core/error.hpp"
#include "core/gset.hpp"
#include "core/json_string.hpp"
#include "core/type_text.hpp"

namespace meridian {

namespace {

using Value = MultiValueRegister::Value;

/// Values of `from` that the other side has as well, or has not seen.
void keep(const std::vector<Value>& from, const std::vector<Value>& other, const VersionVector& seen_by_other,
          std::vector<Value>& out) {
  for (const Value& value : from) {
    const bool shared = std::ranges::find(other, value) != other.end();
    if (shared || !seen_by_other.covers(value.dot)) out.push_back(value);
  }
}

bool before(const Value& a, const Value& b) { return std::tie(a.dot, a.text) < std::tie(b.dot, b.text); }

}  // namespace

MultiValueRegister MultiValueRegister::literal(std::string_view value) {
  ContentNumber number;
  number.add(value);
  MultiValueRegister reg;
  reg.seen_.see({nobody, number.value()});
  reg.values_.push_back({{nobody, number.value()}, std::string(value)});
  return reg;
}

std::vector<std::string> MultiValueRegister::values() const {
  std::vector<std::string> texts;
  for (const Value& value : values_) texts.push_back(value.text);
  return GrowSet::literal(std::move(texts)).elements();
}

void MultiValueRegister::write(Actor actor, std::string_view value) {
  const Dot dot = seen_.next(actor);
  values_.assign(1, Value{dot, std::string(value)});
}

void MultiValueRegister::merge(const MultiValueRegister& other) {
  std::vector<Value> merged;
  keep(values_, other.values_, other.seen_, merged);
  keep(other.values_, values_, seen_, merged);
  std::ranges::sort(merged, meridian::before);
  merged.erase(std::unique(merged.begin(), merged.end()), merged.end());
  values_ = std::move(merged);
  seen_.merge(other.seen_);
}

/// Whether this state came from `before` by operations of `actor` alone.
bool MultiValueRegister::follows(const MultiValueRegister& before, Actor actor) const {
  return before.seen_.advanced_by(actor, seen_) && std::ranges::all_of(values_, [&](const Value& value) {
           return !before.seen_.covers(value.dot) || std::ranges::find(before.values_, value) != before.values_.end();
         });
}

MultiValueRegister MultiValueRegister::absorb(const MultiValueRegister& before, const MultiValueRegister& after,
                                              Actor actor) {
  if (after.follows(before, actor)) return after;
  MultiValueRegister result = before;
  const std::vector<std::string> wanted = after.values();
  if (before.values() == wanted) return result;
  result.values_.clear();
  for (const std::string& text : wanted) result.values_.push_back({result.seen_.next(actor), text});
  return result;
}

void MultiValueRegister::encode(Bytes& bytes) const {
  Writer out(bytes);
  put_head(out, kind);
  put_seen(out, seen_);
  out.room_for(1);
  out.varint(values_.size());
  for (const Value& value : values_) {
    put_dot(out, seen_, value.dot);
    put_element(out, value.text);
  }
}

MultiValueRegister MultiValueRegister::decode(std::span<const std::byte> bytes) {
  Reader in(bytes, name);
  take_head(in, kind);
  MultiValueRegister reg;
  reg.seen_ = take_seen(in);
  const std::size_t count = take_count(in, 3);
  for (std::size_t i = 0; i < count; ++i) {
    Value value;
    value.dot = take_dot(in, reg.seen_);
    value.text = take_element(in);
    if (i > 0 && !before(reg.values_.back(), value)) in.fail("values are not in order");
    reg.values_.push_back(std::move(value));
  }
  take_end(in);
  return reg;
}

bool MultiValueRegister::is_literal() const { return values_.size() == 1 && *this == literal(values_.front().text); }

std::string MultiValueRegister::value_key() const { return GrowSet::literal(values()).to_text(); }

std::string MultiValueRegister::to_text() const {
  std::string text;
  if (is_literal()) {
    print_quoted(text, values_.front().text);
    return text;
  }
  text = "{seen:";
  print_dots(text, seen_);
  text += ",values:[";
  for (const Value& value : values_) {
    if (&value != values_.data()) text += ',';
    print_quoted(text, value.text);
    print_dot(text += '@', value.dot);
  }
  return text += "]}";
}

MultiValueRegister MultiValueRegister::parse(std::string_view text) {
  TextReader in(text, name, "Cast a value: 'value'::text. Or write it in double quotes, or a state as it is printed.");
  if (!in.accept("{seen:")) {
    const MultiValueRegister reg = literal(in.quoted());
    in.expect_end();
    return reg;
  }
  MultiValueRegister reg;
  reg.seen_ = in.seen();
  in.expect(",values:[");
  in.list([&] {
    Value value;
    value.text = in.quoted();
    in.expect("@");
    value.dot = in.dot();
    if (!reg.seen_.covers(value.dot)) in.refuse("a write that was not seen");
    if (!reg.values_.empty() && !before(reg.values_.back(), value)) in.refuse("values are not in order");
    reg.values_.push_back(std::move(value));
  });
  in.expect("}");
  in.expect_end();
  if (reg.is_literal()) in.refuse("it is written as a plain value");
  return reg;
}

std::string MultiValueRegister::to_json() const {
  std::string json = "{\"values\": [";
  for (const Value& value : values_) {
    if (&value != values_.data()) json += ", ";
    append_json_string(json += "{\"value\": ", value.text);
    json += ", \"written_by\": \"";
    print_actor(json, value.dot.actor);
    print_number(json += "\", \"write\": ", value.dot.number);
    json += '}';
  }
  print_json_seen(json += "], \"seen\": ", seen_);
  return json += '}';
}

}  // namespace meridian
