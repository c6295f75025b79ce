// Row states as the glue sees them: spans of bytes in, spans of bytes out.
//
// These functions are the core lane of the triggers: they decode, call the core and encode, and make no PostgreSQL
// call. They may throw meridian::Error (malformed bytes, a counter that was asked to hold NaN). Results live in a
// scratch area that belongs to the backend and is overwritten by the next call of any function here: the caller copies
// them at once. Arguments and results are trivially destructible, so that a caller may raise a PostgreSQL error around
// them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/merge.hpp"
#include "core/row_state.hpp"
#include "core/tombstone.hpp"

namespace meridian::pg {

/// The value of a counter or bounded column: absent (NULL), an integer, or the text of a numeric.
struct Number {
  enum class Kind : std::uint8_t { null, integer, text };
  Kind kind = Kind::null;
  std::int64_t integer = 0;
  const char* text = nullptr;
  std::size_t length = 0;
};

/// An element of a set column, as core/row_set.hpp; `value` is the text of a jsonb key's value.
struct ElementBytes {
  const char* data = nullptr;
  std::size_t size = 0;
  const char* value = nullptr;
  std::size_t value_size = 0;
};

/// The contents of a set column.
struct SetColumn {
  const ElementBytes* elements = nullptr;
  int count = 0;
  bool is_null = false;
  bool given = false;  ///< if not, this is no statement about the column
};

/// Encoded row state. `data == nullptr` stands for SQL NULL: the row was there before replication.
struct StateBytes {
  const std::byte* data = nullptr;
  std::size_t size = 0;
};

/// One side of a merge: its state, its numbers (in the order of `Shape::counters` and, behind them, `Shape::bounds`)
/// and its sets (in the order of `Shape::sets`), which are only looked at if the state is NULL.
struct ImageState {
  StateBytes state;
  const Number* numbers = nullptr;
  const SetColumn* sets = nullptr;
};

/// A tombstone as the catalog stores it; all zero if the key was never deleted.
struct TombstoneData {
  Hlc floor;
  Hlc stamp;
  Actor actor;
  StateBytes seen;  ///< the deleted row's last writes, as a row state without contributions
};

/// What a local UPDATE changed: slots, sorted.
struct LocalChange {
  const Slot* groups = nullptr;
  int group_count = 0;
  const Slot* lattices = nullptr;
  int lattice_count = 0;
  const Number* before = nullptr;   ///< numbers of OLD, as in ImageState
  const Number* after = nullptr;    ///< numbers of NEW
  const SetColumn* sets = nullptr;  ///< in the order of Shape::sets; those that changed are given
};

/// What a merge decided, without column values.
struct MergeResult {
  StateBytes state;
  bool state_changed = false;
  bool live = false;
  bool compare_values = false;  ///< some group is Take::either: the values break the tie
  bool strangers = false;       ///< the states share no entry: two INSERTs that did not know each other
  bool lost_local = false;      ///< a local write of some group gave way to one that had not seen it
  bool lost_incoming = false;   ///< the same for the incoming side
  Knowledge knowledge = Knowledge::equal;
};

/// State of a freshly inserted row.
StateBytes stamp_insert(const Shape& shape, Actor actor, Hlc stamp, const Number* numbers, const SetColumn* sets);

/// State after a local UPDATE of a row in state `old_row`. Returns false, and the stamp to exceed in `*exceed`, if
/// `stamp` is not larger than every stamp of the row. `numbers_out` receives the values of counters and bounded columns
/// with the scale that every node will print.
bool stamp_update(const Shape& shape, Actor actor, Hlc stamp, const ImageState& old_row, const LocalChange& change,
                  StateBytes* state_out, Number* numbers_out, Hlc* exceed);

/// Where a merge says whose values the columns take. The arrays have one element per group, lattice, number and set of
/// the shape. A set whose contents are given takes them; else it takes what its element of `set_takes` says.
struct Decisions {
  Take* groups = nullptr;
  Take* lattices = nullptr;
  Number* numbers = nullptr;
  Take* set_takes = nullptr;
  SetColumn* sets = nullptr;
};

/// Merges `incoming` into `local` under `tombstone`.
MergeResult merge_states(const Shape& shape, const ImageState& local, const ImageState& incoming,
                         const TombstoneData& tombstone, const Decisions& out);

/// Removes from one image what the tombstone killed; numbers and sets as in merge_states.
MergeResult bury_state(const Shape& shape, const ImageState& image, const TombstoneData& tombstone,
                       const Decisions& out);

/// True if `incoming` holds a life (or, with delete=latest, an actor) that `local` does not know: a tombstone of the
/// key may have killed it, so it must be looked up before they merge.
bool may_be_buried(const Shape& shape, const ImageState& local, const ImageState& incoming);

/// What `mine` knows, compared with what `theirs` knows.
Knowledge compare_states(const Shape& shape, const ImageState& mine, const ImageState& theirs);

/// Bytes of the text form. They are remembered: an apply worker reads the text of an image and merges the image next.
StateBytes parse_state(const char* text);

/// The same for bytes from outside, after checking that they are the canonical form of a state.
StateBytes check_state(StateBytes bytes);

/// Largest stamp in an image.
Hlc highest_stamp(const Shape& shape, const ImageState& image);

/// Birth of the latest life in an image: the stamp of its INSERT.
Hlc largest_birth(const Shape& shape, const ImageState& image);

/// The tombstone that a local DELETE of `row` leaves. Returns false like stamp_update if `stamp` is too small.
bool stamp_delete(const Shape& shape, Actor actor, Hlc stamp, const ImageState& row, TombstoneData* out, Hlc* exceed);

/// Merges `other` into `into` (whose `seen` then points into the scratch area). Returns false if it changed nothing.
bool merge_tombstones(TombstoneData* into, const TombstoneData& other);

/// The `seen` of a tombstone whose deletes are ordered by a timestamp column: a state without entries.
StateBytes no_writes_seen();

/// True if the image holds a write that the deleter had not seen.
bool unseen_by_deleter(const Shape& shape, const ImageState& image, const TombstoneData& tombstone);

/// Author and stamp of the write that the default group (or the newest group) of an image shows; for the conflict
/// history.
GroupStamp newest_group(const Shape& shape, const ImageState& image);

}  // namespace meridian::pg
