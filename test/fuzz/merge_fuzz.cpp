// Two states and a tombstone from the wire, each behind a length byte: merging never throws and keeps its laws,
// whatever well-formed states arrive.
#include <optional>

#include "core/error.hpp"
#include "core/merge.hpp"
#include "core/row_state_codec.hpp"
#include "fuzz/fuzz.hpp"

using namespace meridian;

namespace {

/// The next state of the input; nullopt if it is malformed.
std::optional<RowState> take_state(std::span<const std::byte>& input) {
  if (input.empty()) return std::nullopt;
  const auto length = std::min(std::to_integer<std::size_t>(input.front()), input.size() - 1);
  const auto bytes = input.subspan(1, length);
  input = input.subspan(1 + length);
  try {
    return decode(bytes);
  } catch (const Error&) {
    return std::nullopt;
  }
}

Shape shape_for(const RowState& state, bool latest) {
  Shape shape;
  for (const GroupStamp& group : state.groups) shape.groups.push_back(group.slot);
  for (const SetLife& life : state.sets) shape.sets.push_back(life.slot);
  if (latest) shape.delete_latest = true;
  return shape;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = fuzz::as_bytes(data, size);
  const auto a = take_state(input);
  const auto b = take_state(input);
  const auto deleted = take_state(input);
  if (!a || !b || !deleted) return 0;

  const Shape shape = shape_for(*a, !input.empty());
  Tombstone floor;
  if (deleted->live()) floor = delete_row(*deleted, shape, Actor{7}, deleted->highest_stamp());

  const Merge ab = merge(*a, *b, shape, floor);
  fuzz::check(ab.state == merge(*b, *a, shape, floor).state, "merge commutes");
  fuzz::check(merge(ab.state, *b, shape, floor).state == ab.state, "merge is idempotent");
  RowState buried_later = merge(*a, *b, shape, Tombstone{}).state;
  bury(buried_later, shape, floor);
  // Only reachable states promise that a group dies with its life; here it is enough that the entries agree.
  fuzz::check(buried_later.entries == ab.state.entries, "burial commutes with merge");
  fuzz::check(buried_later.dots == ab.state.dots, "burial commutes with the merge of sets");
  fuzz::check(sets_are_sound(ab.state), "a merged set is sound");
  return 0;
}
