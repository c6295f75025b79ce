// What this node knows of the members and of what they have published: meridian.member, generation and progress, read
// together.
#pragma once

#include "core/hlc.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// One member, and the last that it published: of what came through several streams, what is true of all of them.
/// Arrays are palloc'd.
struct MemberStanding {
  std::uint16_t member;
  bool joining;
  bool published;           ///< through every stream: the rest is known
  std::int32_t generation;  ///< 0 if the streams do not agree
  std::int32_t epoch;
  bool healed;
  Hlc safe;
  Hlc laid_down;
  std::int64_t parked;
  int origin_count;
  std::uint16_t* origins;
  Hlc* applied;
};

/// All of them as this node sees them.
struct Standing {
  std::uint16_t self;
  std::int32_t epoch;
  std::int32_t generation;
  std::int32_t generation_epoch;
  bool held;
  int count;
  MemberStanding* members;
};

/// What removal does with a member's progress.
enum class Count { counts, joining, silent, other_generation, epoch_raised };

/// False if this server is not a member of a mesh. Under a fresh snapshot, in the current memory context.
bool read_standing(Standing* standing);

/// Whether the progress of another member counts here.
Count count_of(const Standing& standing, const MemberStanding& member);

/// The own row, or null.
const MemberStanding* own_standing(const Standing& standing);

/// True if some member is still being filled: it has applied nothing, so nobody may forget anything.
bool anyone_joining(const Standing& standing);

/// Stamp up to which a member lets this node's tombstones go; `never` if it does not count.
Hlc cut_by(const Standing& standing, const MemberStanding& member);
/// Stamp up to which tombstones are stable here.
Hlc stable_here(const Standing& standing);
/// Stamp up to which all members have laid down their tombstones; `own` is what this node has.
Hlc laid_down_by_all(const Standing& standing, Hlc own);

}  // namespace meridian::pg
