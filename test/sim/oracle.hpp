// What a replica must hold, computed from the operations that it has seen and from nothing else; and the laws that
// every merge obeys.
#pragma once

#include "sim/node.hpp"

namespace meridian::sim {

/// The writes of `writes` that no delete of `deletes` kills.
[[nodiscard]] OperationSet living_writes(const World& world, const Shape& shape, const OperationSet& writes,
                                         const OperationSet& deletes);
[[nodiscard]] OperationSet living_writes(const World& world, const Shape& shape, const Cell& cell);
/// The largest birth among the writes; `never` if there are none.
[[nodiscard]] Hlc largest_birth(const World& world, const OperationSet& writes);

/// Who made the latest life among the writes: of two INSERTs with one birth the larger actor.
[[nodiscard]] Actor largest_maker(const World& world, const OperationSet& writes);
/// True if `actor` has the rights to change a bounded column of the row so, by all that it has seen.
[[nodiscard]] bool may_change(const World& world, const Shape& shape, const Cell& cell, std::size_t bound, Actor actor,
                              const Decimal& delta);

/// Notes in `operation` what a write that gives the set `index` of the row new contents adds, and which adds it undoes.
void note_set_write(const World& world, const Shape& shape, const Cell& cell, std::size_t index,
                    const SetValue& contents, Operation& operation);

/// Throws Violation unless the row is what the operations seen by the node make it.
void check_cell(const World& world, const Node& node, int index, int table, int key);

/// Throws Violation unless `merge` of the two states is commutative, idempotent and inflationary, and moves values the
/// way its states say.
void check_merge(const Shape& shape, const RowState& local, const RowState& incoming, const Tombstone& floor,
                 const Merge& merge);
/// Throws Violation unless what the core says about the knowledge in two rows of one life is what the operations say.
void check_knowledge(const World& world, const Shape& shape, const Cell& local, const Image& incoming,
                     Knowledge knowledge);
/// The same for a delete that meets a row: had the deleter seen all of it?
void check_unseen(const World& world, const Shape& shape, const Cell& local, const RowState& state, const Grave& grave);
/// Throws Violation unless bytes and text of the state read back as the state.
void check_codec(const RowState& state);

}  // namespace meridian::sim
