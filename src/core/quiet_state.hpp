// A row at rest: the states that nearly every row has nearly always, read without building a RowState.
//
// Quiet is a state of the plain format with at most `max_writers` entries, without contributions and lattices, whose
// only group is the default one, written by the latest entry. For such states the commonest of all merges, a later
// version of a row whose writer had seen the one that is here, is decided by comparing a few stamps. Everything else,
// malformed bytes included, is "not quiet", and the general code decides: this is a short cut, never a second opinion.
// (Tests compare it with decode() and merge() on random states and on random bytes.)
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "core/actor.hpp"
#include "core/hlc.hpp"

namespace meridian {

struct QuietEntry {
  Actor actor;
  Hlc birth;
  Hlc last;
};

/// Entries sorted by (actor, birth), as in RowState.
struct QuietState {
  static constexpr std::size_t max_writers = 4;

  std::array<QuietEntry, max_writers> entries;
  std::size_t count = 0;

  [[nodiscard]] std::span<const QuietEntry> all() const noexcept { return {entries.data(), count}; }
  /// As RowState::highest_stamp().
  [[nodiscard]] Hlc highest_stamp() const noexcept;
  /// The entry that wrote the default group.
  [[nodiscard]] const QuietEntry& leading() const noexcept;
};

/// Reads canonical bytes of a quiet state into `out`. False, and nothing said about the bytes, for all others.
[[nodiscard]] bool read_quiet(std::span<const std::byte> bytes, QuietState& out) noexcept;

/// True if the writer of `incoming` had seen all that `local` holds and has written the row again: then the merge of
/// the two is `incoming`, and the default group takes its values.
[[nodiscard]] bool supersedes(const QuietState& incoming, const QuietState& local) noexcept;

}  // namespace meridian
