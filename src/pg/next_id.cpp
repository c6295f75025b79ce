// meridian.next_id(): 64-bit keys, time-ordered, unique without asking anybody.
//
//   bit 63      0: ids are positive
//   bits 22-62  milliseconds since 2024-01-01 UTC (41 bits, until the year 2093)
//   bits 12-21  counter of the clock within the millisecond (10 bits)
//   bits 10-11  the two low bits of the member's epoch
//   bits 0-9    member (10 bits)
//
// Unique: every id takes a tick of its own, and no server issues one stamp twice, over crashes and restarts included.
// Two servers of one member never share an epoch. The epoch counts because a promoted standby may lack the old
// primary's last ids: its clock starts at the bound it has and at physical time, which may be less than a skewed old
// primary had reached. Four epochs later physical time has passed it. The same holds for a restored copy. Ids of one
// server grow within an epoch, as do those of a member up to the skew at a promotion.
//
// A counter of more than 10 bits takes the next millisecond: a server that issues more than 1,024 ids per millisecond
// runs its clock ahead.

#include "pg/hlc.hpp"
#include "pg/identity.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

constexpr std::uint64_t first_ms = 1'704'067'200'000;
constexpr int time_bits = 41;
constexpr int counter_bits = 10;
constexpr int epoch_bits = 2;
constexpr int member_bits = 10;
static_assert(time_bits + counter_bits + epoch_bits + member_bits == 63);

constexpr std::uint64_t low_bits(std::uint64_t value, int bits) { return value & ((std::uint64_t{1} << bits) - 1); }

/// A stamp of our own whose counter fits.
Hlc tick_for_id() {
  Hlc stamp = tick();
  while (stamp.counter() >> counter_bits != 0)
    stamp = tick(Hlc{Hlc::from_parts(stamp.milliseconds() + 1, 0).value - 1});
  return stamp;
}

}  // namespace

/// meridian.next_id() returns bigint
MERIDIAN_FUNCTION(meridian_next_id)
{
  const Actor actor = local_actor();
  if (actor.member() >> member_bits != 0) {
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("member %d has no room in an id: ids hold members up to %d", actor.member(),
                           (1 << member_bits) - 1),
                    errhint("Replicate the table with ids=keep and keys of your own.")));
  }
  const Hlc stamp = tick_for_id();
  const std::uint64_t age_ms = stamp.milliseconds() - first_ms;
  if (age_ms >> time_bits != 0) {
    ereport(ERROR,
            (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW), errmsg("the clock is outside the years that ids can hold"),
             errhint("Check the server's system time.")));
  }
  const std::uint64_t moment = (age_ms << counter_bits) | stamp.counter();
  const std::uint64_t writer = (low_bits(actor.epoch(), epoch_bits) << member_bits) | actor.member();
  PG_RETURN_INT64(static_cast<std::int64_t>((moment << (epoch_bits + member_bits)) | writer));
}

}  // namespace meridian::pg
