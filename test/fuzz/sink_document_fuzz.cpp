// Events as a sink looks into them: whatever the text is, views stay inside of it, and rows without gaps have none.
#include "core/sink_document.hpp"

#include "core/json_members.hpp"
#include "fuzz/fuzz.hpp"

using namespace meridian;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::as_text(data, size);
  JsonMembers members(text);
  for (JsonMember member; members.next(&member);) {
    fuzz::check(
        member.value.data() >= text.data() && member.value.data() + member.value.size() <= text.data() + text.size(),
        "values are parts of the text");
    fuzz::check(plain_text(member.value).size() <= 3 * member.value.size(), "text does not grow without bound");
  }
  if (const auto row = parse_changed_row(text)) {
    const std::string whole = without_gaps(fill_gaps(row->after, text));
    fuzz::check(!has_gap(whole), "rows without gaps have none");
    if (row->op != 'd') fuzz::check(whole.front() == '{' && whole.back() == '}', "and are objects");
  }
  if (const auto table = parse_table_of(text))
    fuzz::check(table->schema.size() + table->table.size() <= size, "names too");
  if (const auto key = key_of_row(text, text)) {
    fuzz::check(key->front() == '{' && key->back() == '}', "keys are objects");
    fuzz::check(is_key_of(text, text) || members.is_broken() || find_member(text, "payload"), "of their own columns");
  }
  fuzz::check(parse_changed_row(fill_event(text, text)).has_value() == parse_changed_row(text).has_value(),
              "a completed event is still one");
  fuzz::check(!deletion_event(text, text, text).empty(), "a deletion is an event");
  return 0;
}
