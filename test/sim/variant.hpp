// The right model, and wrong ones that the simulator must catch.
//
// A wrong variant wraps the core's functions here, in the simulator; the core has none of this. `Variant::none` calls
// the core and nothing else.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "core/merge.hpp"
#include "core/row_state.hpp"
#include "core/tombstone.hpp"
#include "sim/table.hpp"

namespace meridian::sim {

enum class Variant {
  none,
  counter_maximum,          ///< counters merge by the larger amount, though they can fall
  lattice_without_birth,    ///< lattice columns merge across lives
  floor_from_clock,         ///< a delete kills whatever was born before its stamp
  tombstone_in_flight,      ///< a tombstone goes as soon as nothing older is on its way to the node
  tie_incoming_wins,        ///< equal stamps of two actors: the incoming values win (`>=` without the actor)
  tie_local_wins,           ///< equal stamps of two actors: the local values win
  counter_across_lives,     ///< what was counted in a dead life stays while the row lives
  set_remove_by_dominance,  ///< a dot goes only if the other side's whole state is newer
  set_seen_by_actor,        ///< a dot counts as seen if any life of the row has a later write of its author
  set_dots_over_floor,      ///< dots of a dead life stay while the row lives
  map_keeps_newest,         ///< of several values of one key only the newest is kept
  rights_of_one_birth,      ///< lives with one birth are one life, whoever made them
  restore_keeps_rights,     ///< a restored node takes over the rights that its old epoch had at the backup
  entry_first_wins,         ///< of two versions of an entry the one that was there stays
  restore_same_epoch,       ///< a restored node goes on under its old actor
  progress_before_commit,   ///< progress is published while older transactions are still open
  progress_over_parked,     ///< progress is published while a tombstone is parked
  progress_over_heal,       ///< progress from before a restore or drop goes on counting
  progress_of_one_stream,   ///< of several streams the one that is ahead counts
  received_over_rereading,  ///< a stream that is read again still counts as received
  member_after_copy,        ///< a joining node counts as a member only when it is filled
  copy_without_parked,      ///< the copy that fills a node leaves out what is parked
  copy_parked_last,         ///< that copy reads what is parked after rows
  join_with_own_clock,      ///< a joining node does not take over the clock of the node that fills it
  restore_past_drop,        ///< a backup is restored that is older than a dropped tombstone
  parked_escapes,           ///< tombstones do not reach parked images
  heal_without_parked,      ///< healing re-sends rows and tombstones, but nothing that is parked
  missing_group_advances,   ///< a group whose values did not travel takes the image's stamp
};

struct VariantName {
  Variant variant;
  std::string_view name;
};
/// All variants with the names that the command line takes.
[[nodiscard]] std::span<const VariantName> variant_names() noexcept;
[[nodiscard]] std::optional<Variant> variant_by_name(std::string_view name) noexcept;

/// The core's operations on states, wrapped for the variant.
class Model {
 public:
  explicit Model(Variant variant) noexcept : variant_(variant) {}
  [[nodiscard]] Variant variant() const noexcept { return variant_; }
  [[nodiscard]] bool is(Variant variant) const noexcept { return variant_ == variant; }

  [[nodiscard]] Merge merge(const RowState& local, const RowState& incoming, const Shape& shape,
                            const Tombstone& floor) const;
  [[nodiscard]] Tombstone delete_row(const RowState& state, const Shape& shape, Actor actor, Hlc stamp) const;
  void bury(RowState& state, const Shape& shape, const Tombstone& tombstone) const;
  /// How a lattice decision of the core is carried out.
  [[nodiscard]] Take lattice_take(Take decided, bool local_exists) const noexcept;

 private:
  Variant variant_;
};

}  // namespace meridian::sim
