#include "pg/state_ops.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/quiet_state.hpp"
#include "core/rights.hpp"
#include "core/row_state_codec.hpp"
#include "pg/state_scratch.hpp"

namespace meridian::pg {
namespace {

// An encoded state and what was read from it so far. One image is asked several questions before its merge is done, and
// for most images the quiet form answers all of them.
struct Recalled {
  Bytes bytes;
  QuietState quiet;
  RowState state;
  bool valid = false;  ///< `bytes` are those of a state
  bool is_quiet = false;
  bool is_decoded = false;
};

// Buffers that keep their capacity from call to call, so that a quiet worker merges without allocating.
struct Scratch {
  Bytes state;
  std::vector<std::string> texts;
  std::vector<std::vector<SetElement>> sets;
  std::vector<ElementBytes> elements;
  Recalled local;
  Recalled incoming;
};

// A pointer, not an object: nothing may run at load or exit time of the library.
Scratch* scratch_area = nullptr;

Scratch& scratch() {
  if (scratch_area == nullptr) scratch_area = new Scratch;
  return *scratch_area;
}

StateBytes put(const RowState& state) {
  Bytes& bytes = scratch().state;
  bytes.clear();
  encode(state, bytes);
  return {bytes.data(), bytes.size()};
}

std::optional<Decimal> to_decimal(const Number& number) {
  switch (number.kind) {
    case Number::Kind::null:
      return std::nullopt;
    case Number::Kind::integer:
      return Decimal::from_int64(number.integer);
    case Number::Kind::text:
      return Decimal::parse({number.text, number.length});
  }
  return std::nullopt;
}

// NaN and infinities cannot be added up.
bool is_countable(const Number& number) {
  if (number.kind != Number::Kind::text) return true;
  const char first = number.text[number.text[0] == '-'];
  return first >= '0' && first <= '9';
}

// Amounts of counters and of bounded columns; columns that are NULL are left out.
struct Amounts {
  Contributions counters;
  Contributions bounded;
};

std::size_t number_count(const Shape& shape) { return shape.counters.size() + shape.bounds.size(); }

// `amount(i)` is the amount of the ith number, or nothing.
template <typename Amount>
Amounts collect(const Shape& shape, Amount amount) {
  Amounts result;
  const std::size_t counters = shape.counters.size();
  for (std::size_t i = 0; i < number_count(shape); ++i) {
    const std::optional<Decimal> value = amount(i);
    if (!value) continue;
    if (i < counters) {
      result.counters.push_back({shape.counters[i], *value});
    } else {
      result.bounded.push_back({shape.bounds[i - counters].slot, *value});
    }
  }
  return result;
}

Amounts amounts_of(const Shape& shape, const Number* numbers) {
  return collect(shape, [numbers](std::size_t i) { return to_decimal(numbers[i]); });
}

// The sets that are given and not NULL.
std::vector<SetContent> contents(const Shape& shape, const SetColumn* sets) {
  std::vector<SetContent> result;
  for (std::size_t i = 0; i < shape.sets.size(); ++i) {
    if (!sets[i].given || sets[i].is_null) continue;
    SetContent& content = result.emplace_back(SetContent{shape.sets[i], {}});
    content.elements.reserve(static_cast<std::size_t>(sets[i].count));
    for (int e = 0; e < sets[i].count; ++e) {
      const ElementBytes& element = sets[i].elements[e];
      content.elements.push_back({std::string(element.data, element.size),
                                  element.value == nullptr ? "" : std::string(element.value, element.value_size)});
    }
  }
  return result;
}

// Boost 1.74's iterators do not model the standard's contiguous range.
std::span<const Contribution> view(const Contributions& amounts) { return {amounts.data(), amounts.size()}; }

RowState read(const Shape& shape, const ImageState& image) {
  if (image.state.data != nullptr) return decode({image.state.data, image.state.size});
  // What cannot be added up counts as NULL: reading must not fail.
  const Amounts amounts = collect(shape, [&](std::size_t i) {
    return is_countable(image.numbers[i]) ? to_decimal(image.numbers[i]) : std::nullopt;
  });
  const std::vector<SetContent> sets = shape.sets.empty() ? std::vector<SetContent>{} : contents(shape, image.sets);
  return state_before_replication(shape, view(amounts.counters), sets, view(amounts.bounded));
}

// Makes `memory` that of the given bytes, which must not be NULL.
void recall_bytes(Recalled& memory, const StateBytes& bytes) {
  if (memory.valid && memory.bytes.size() == bytes.size &&
      std::memcmp(memory.bytes.data(), bytes.data, bytes.size) == 0) {
    return;
  }
  memory.bytes.resize(bytes.size, boost::container::default_init);
  std::memcpy(memory.bytes.data(), bytes.data, bytes.size);
  memory.is_quiet = read_quiet({bytes.data, bytes.size}, memory.quiet);
  memory.is_decoded = false;
  memory.valid = true;
}

// The quiet form of an image, or null if it has none. Valid until the next call with the same `memory`, as is what
// `recall` returns.
const QuietState* recall_quiet(Recalled& memory, const ImageState& image) {
  if (image.state.data == nullptr) return nullptr;
  recall_bytes(memory, image.state);
  return memory.is_quiet ? &memory.quiet : nullptr;
}

const RowState& recall_decoded(Recalled& memory) {
  if (!memory.is_decoded) decode({memory.bytes.data(), memory.bytes.size()}, memory.state);
  memory.is_decoded = true;
  return memory.state;
}

// As `read`, but decodes only if `memory` holds another state.
const RowState& recall(Recalled& memory, const Shape& shape, const ImageState& image) {
  if (image.state.data == nullptr) {
    memory.valid = false;
    memory.state = read(shape, image);
    return memory.state;
  }
  recall_bytes(memory, image.state);
  return recall_decoded(memory);
}

Tombstone read(const TombstoneData& data) {
  Tombstone tombstone{.floor = data.floor, .stamp = data.stamp, .actor = data.actor, .seen = {}};
  if (data.seen.data != nullptr) seen_from_state(tombstone, decode({data.seen.data, data.seen.size}));
  return tombstone;
}

TombstoneData put(const Tombstone& tombstone) {
  return {tombstone.floor, tombstone.stamp, tombstone.actor, put(seen_as_state(tombstone))};
}

// Texts of different numbers stay valid together until the next call.
void put_numbers(const Shape& shape, const RowState& state, Number* out) {
  std::vector<std::string>& texts = scratch().texts;
  texts.resize(number_count(shape));
  const std::size_t counters = shape.counters.size();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::optional<Decimal> value =
        i < counters ? state.counter(shape.counters[i]) : bounded_value(state, shape.bounds[i - counters]);
    out[i] = Number{};
    if (!value) continue;
    if (value->scale() == 0) {
      if (auto integer = value->to_int64()) {
        out[i].kind = Number::Kind::integer;
        out[i].integer = *integer;
        continue;
      }
    }
    texts[i] = value->to_string();
    out[i].kind = Number::Kind::text;
    out[i].text = texts[i].c_str();
    out[i].length = texts[i].size();
  }
}

// Contents of the sets that `wanted(index)` says. They stay valid together until the next call.
template <typename Wanted>
void put_sets(const Shape& shape, const RowState& state, SetColumn* out, Wanted wanted) {
  auto& sets = scratch().sets;
  auto& elements = scratch().elements;
  sets.resize(shape.sets.size());
  elements.clear();
  std::size_t total = 0;
  for (std::size_t i = 0; i < shape.sets.size(); ++i) {
    out[i] = SetColumn{};
    sets[i].clear();
    if (!wanted(i)) continue;
    sets[i] = elements_of(state, shape.sets[i]);
    total += sets[i].size();
    out[i].given = true;
    out[i].is_null = !is_written(state, shape.sets[i]);
    out[i].count = static_cast<int>(sets[i].size());
  }
  elements.reserve(total);  // so that what points into it stays
  for (std::size_t i = 0; i < shape.sets.size(); ++i) {
    out[i].elements = elements.data() + elements.size();
    for (const SetElement& element : sets[i]) {
      elements.push_back({element.bytes.data(), element.bytes.size(), element.value.data(), element.value.size()});
    }
  }
}

bool same_dots(const RowState& a, const RowState& b, Slot slot) {
  return is_written(a, slot) == is_written(b, slot) && std::ranges::equal(dots_of(a, slot), dots_of(b, slot));
}

// NEW - OLD per number. One that becomes NULL would have to forget what other nodes added.
Amounts deltas(const Shape& shape, const LocalChange& change) {
  return collect(shape, [&](std::size_t i) -> std::optional<Decimal> {
    const std::optional<Decimal> before = to_decimal(change.before[i]);
    const std::optional<Decimal> after = to_decimal(change.after[i]);
    if (!after && before) {
      const bool is_counter = i < shape.counters.size();
      throw Error(ErrorKind::not_additive,
                  is_counter ? "a counter column cannot be set to NULL" : "a bounded column cannot be set to NULL",
                  "Set it to 0, or write it as column = column - column.");
    }
    if (!after) return std::nullopt;
    const Decimal delta = before ? *after - *before : *after;
    if (before && delta.is_zero()) return std::nullopt;
    return delta;
  });
}

// True if the state's author had seen the write of `actor` at `stamp`.
bool knows(const RowState& state, Actor actor, Hlc stamp) {
  for (const Entry& entry : state.entries) {
    if (entry.actor == actor && entry.last >= stamp) return true;
  }
  return actor == nobody;
}

const GroupStamp* group_of(const RowState& state, Slot slot) {
  for (const GroupStamp& group : state.groups) {
    if (group.slot == slot) return &group;
  }
  return nullptr;
}

bool share_an_entry(const RowState& a, const RowState& b) {
  for (const Entry& left : a.entries) {
    for (const Entry& right : b.entries) {
      if (left.actor == right.actor && left.birth == right.birth) return true;
    }
  }
  return false;
}

bool has_default_group_only(const Shape& shape) {
  return shape.groups.size() == 1 && shape.groups.front() == default_group && shape.counters.empty() &&
         shape.lattices.empty() && shape.sets.empty() && shape.bounds.empty();
}

// The commonest merge: the writer of the incoming image had seen what is here.
bool is_superseded(const ImageState& local, const ImageState& incoming) {
  const QuietState* mine = recall_quiet(scratch().local, local);
  const QuietState* theirs = recall_quiet(scratch().incoming, incoming);
  return mine != nullptr && theirs != nullptr && supersedes(*theirs, *mine);
}

// True if the incoming image holds a write of a life that is not here: it may have been deleted.
template <typename Entries>
bool has_unknown_entry(const Shape& shape, const Entries& mine, const Entries& theirs) {
  return !std::ranges::all_of(theirs, [&](const auto& entry) {
    return std::ranges::any_of(mine, [&](const auto& own) {
      return shape.delete_latest ? own.actor == entry.actor : own.birth == entry.birth;
    });
  });
}

// Which side's group writes gave way to one that had not seen them.
void note_losses(const RowState& local, const RowState& incoming, const SlotDecision& decision, MergeResult* result) {
  const GroupStamp* mine = group_of(local, decision.slot);
  const GroupStamp* theirs = group_of(incoming, decision.slot);
  if (mine == nullptr || theirs == nullptr) return;
  if (decision.take == Take::incoming && !knows(incoming, mine->actor, mine->stamp)) result->lost_local = true;
  if (decision.take == Take::local && !knows(local, theirs->actor, theirs->stamp)) result->lost_incoming = true;
}

}  // namespace

RowState read_state(const Shape& shape, const ImageState& image) { return read(shape, image); }

StateBytes put_state(const RowState& state) { return put(state); }

Contributions bounded_deltas(const Shape& shape, const LocalChange& change) { return deltas(shape, change).bounded; }

StateBytes stamp_insert(const Shape& shape, Actor actor, Hlc stamp, const Number* numbers, const SetColumn* sets) {
  const Amounts amounts = amounts_of(shape, numbers);
  return put(insert_row(shape, actor, stamp, view(amounts.counters), contents(shape, sets), view(amounts.bounded)));
}

bool stamp_update(const Shape& shape, Actor actor, Hlc stamp, const ImageState& old_row, const LocalChange& change,
                  StateBytes* state_out, Number* numbers_out, Hlc* exceed) {
  RowState state = read(shape, old_row);
  *exceed = state.highest_stamp();
  if (stamp <= *exceed) return false;
  const Amounts amounts = deltas(shape, change);
  const std::vector<SetContent> sets = contents(shape, change.sets);
  update_row(state, shape, actor, stamp,
             {.groups = {change.groups, static_cast<std::size_t>(change.group_count)},
              .deltas = view(amounts.counters),
              .lattices = {change.lattices, static_cast<std::size_t>(change.lattice_count)},
              .sets = sets,
              .bounded = view(amounts.bounded)});
  *state_out = put(state);
  put_numbers(shape, state, numbers_out);
  return true;
}

MergeResult merge_states(const Shape& shape, const ImageState& local, const ImageState& incoming,
                         const TombstoneData& tombstone, const Decisions& out) {
  if (tombstone.seen.data == nullptr && has_default_group_only(shape) && is_superseded(local, incoming)) {
    out.groups[0] = Take::incoming;
    MergeResult result;
    result.state = incoming.state;
    result.state_changed = true;
    result.live = true;
    result.knowledge = Knowledge::older;
    return result;
  }
  const RowState& mine = recall(scratch().local, shape, local);
  const RowState& theirs = recall(scratch().incoming, shape, incoming);
  const Merge merged = merge(mine, theirs, shape, read(tombstone));
  MergeResult result;
  result.strangers = !share_an_entry(mine, theirs);
  if (merged.knowledge == Knowledge::concurrent) {
    for (const SlotDecision& decision : merged.groups) note_losses(mine, theirs, decision, &result);
  }
  for (std::size_t i = 0; i < shape.groups.size(); ++i) {
    out.groups[i] = Take::local;
    for (const SlotDecision& decision : merged.groups) {
      if (decision.slot == shape.groups[i]) out.groups[i] = decision.take;
    }
    if (out.groups[i] == Take::either) result.compare_values = true;
  }
  for (std::size_t i = 0; i < shape.lattices.size(); ++i) {
    out.lattices[i] = Take::local;
    for (const SlotDecision& decision : merged.lattices) {
      if (decision.slot == shape.lattices[i]) out.lattices[i] = decision.take;
    }
  }
  put_numbers(shape, merged.state, out.numbers);
  if (!shape.sets.empty()) {
    // Rows from before replication may hold their elements in any order.
    const bool any_order = local.state.data == nullptr || incoming.state.data == nullptr;
    for (std::size_t i = 0; i < shape.sets.size(); ++i) {
      out.set_takes[i] = merged.sets.empty() || any_order ? Take::combine : merged.sets[i].take;
    }
    put_sets(shape, merged.state, out.sets, [&](std::size_t i) { return out.set_takes[i] == Take::combine; });
  }
  // Equal states have equal bytes.
  const bool theirs_as_it_is = incoming.state.data != nullptr && merged.state == theirs;
  result.state = theirs_as_it_is ? incoming.state : put(merged.state);
  result.state_changed = merged.state_changed;
  result.live = merged.state.live();
  result.knowledge = merged.knowledge;
  return result;
}

MergeResult bury_state(const Shape& shape, const ImageState& image, const TombstoneData& tombstone,
                       const Decisions& out) {
  const RowState before = read(shape, image);
  RowState state = before;
  bury(state, shape, read(tombstone));
  put_numbers(shape, state, out.numbers);
  if (!shape.sets.empty()) {
    put_sets(shape, state, out.sets, [&](std::size_t i) { return !same_dots(before, state, shape.sets[i]); });
  }
  MergeResult result;
  result.state = put(state);
  result.state_changed = state != before;
  result.live = state.live();
  return result;
}

bool may_be_buried(const Shape& shape, const ImageState& local, const ImageState& incoming) {
  const QuietState* mine = recall_quiet(scratch().local, local);
  const QuietState* theirs = recall_quiet(scratch().incoming, incoming);
  if (mine != nullptr && theirs != nullptr) return has_unknown_entry(shape, mine->all(), theirs->all());
  return has_unknown_entry(shape, recall(scratch().local, shape, local).entries,
                           recall(scratch().incoming, shape, incoming).entries);
}

Knowledge compare_states(const Shape& shape, const ImageState& mine, const ImageState& theirs) {
  const RowState& left = recall(scratch().local, shape, mine);
  return compare_knowledge(left, recall(scratch().incoming, shape, theirs));
}

StateBytes parse_state(const char* text) {
  Recalled& memory = scratch().incoming;
  memory.valid = false;
  parse_text(text, memory.state);
  memory.bytes.clear();
  encode(memory.state, memory.bytes);
  memory.is_quiet = read_quiet({memory.bytes.data(), memory.bytes.size()}, memory.quiet);
  memory.is_decoded = true;
  memory.valid = true;
  return {memory.bytes.data(), memory.bytes.size()};
}

StateBytes check_state(StateBytes bytes) {
  Recalled& memory = scratch().incoming;
  memory.valid = false;
  recall_bytes(memory, bytes);
  if (!memory.is_quiet) recall_decoded(memory);  // refuses every form but the canonical one, as the quiet form does
  return {memory.bytes.data(), memory.bytes.size()};
}

Hlc highest_stamp(const Shape& shape, const ImageState& image) {
  const QuietState* quiet = recall_quiet(scratch().incoming, image);
  return quiet != nullptr ? quiet->highest_stamp() : recall(scratch().incoming, shape, image).highest_stamp();
}

Hlc largest_birth(const Shape& shape, const ImageState& image) { return read(shape, image).largest_birth(); }

bool stamp_delete(const Shape& shape, Actor actor, Hlc stamp, const ImageState& row, TombstoneData* out, Hlc* exceed) {
  const RowState state = read(shape, row);
  *exceed = state.highest_stamp();
  if (stamp <= *exceed) return false;
  *out = put(delete_row(state, shape, actor, stamp));
  return true;
}

bool merge_tombstones(TombstoneData* into, const TombstoneData& other) {
  Tombstone merged = read(*into);
  const Tombstone added = read(other);
  if (covers(merged, added)) return false;
  merge_tombstone(merged, added);
  *into = put(merged);
  return true;
}

StateBytes no_writes_seen() { return put(RowState{}); }

bool unseen_by_deleter(const Shape& shape, const ImageState& image, const TombstoneData& tombstone) {
  return meridian::unseen_by_deleter(read(shape, image), read(tombstone));
}

GroupStamp newest_group(const Shape& shape, const ImageState& image) {
  const RowState state = read(shape, image);
  GroupStamp newest;
  for (const GroupStamp& group : state.groups) {
    if (group.stamp >= newest.stamp) newest = group;
  }
  for (const Entry& entry : state.entries) {
    if (entry.last > newest.stamp) newest = {default_group, entry.birth, entry.last, entry.actor};
  }
  return newest;
}

}  // namespace meridian::pg
