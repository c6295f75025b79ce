#include "pg/standing.hpp"

#include <vector>

#include "core/stability.hpp"
#include "core/stream.hpp"
#include "pg/identity.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

Datum column(int row, int number, bool* is_null) {
  return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, is_null);
}

std::int64_t bigint_at(int row, int number) {
  bool is_null = false;
  const Datum value = column(row, number, &is_null);
  return is_null ? 0 : DatumGetInt64(value);
}

std::int32_t integer_at(int row, int number) {
  bool is_null = false;
  const Datum value = column(row, number, &is_null);
  return is_null ? 0 : DatumGetInt32(value);
}

bool boolean_at(int row, int number) {
  bool is_null = false;
  const Datum value = column(row, number, &is_null);
  return !is_null && DatumGetBool(value);
}

Hlc stamp_at(int row, int number) { return Hlc{static_cast<std::uint64_t>(bigint_at(row, number))}; }

// The two arrays have one length: they are written together. Results live in `context`.
void read_applied(int row, int origins, int applied, MemberStanding* member, MemoryContext context) {
  bool is_null = false;
  Datum* members = nullptr;
  Datum* stamps = nullptr;
  int count = 0;
  int stamp_count = 0;
  deconstruct_array(DatumGetArrayTypeP(column(row, origins, &is_null)), INT4OID, 4, true, TYPALIGN_INT, &members,
                    nullptr, &count);
  deconstruct_array(DatumGetArrayTypeP(column(row, applied, &is_null)), INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
                    &stamps, nullptr, &stamp_count);
  member->origin_count = std::min(count, stamp_count);
  member->origins = static_cast<std::uint16_t*>(MemoryContextAlloc(context, sizeof(std::uint16_t) * (count + 1)));
  member->applied = static_cast<Hlc*>(MemoryContextAlloc(context, sizeof(Hlc) * (count + 1)));
  for (int i = 0; i < member->origin_count; ++i) {
    member->origins[i] = static_cast<std::uint16_t>(DatumGetInt32(members[i]));
    member->applied[i] = Hlc{static_cast<std::uint64_t>(DatumGetInt64(stamps[i]))};
  }
}

// What one stream has brought of a member.
MemberStanding read_stream(int row, MemoryContext context) {
  MemberStanding member{};
  member.member = static_cast<std::uint16_t>(integer_at(row, 1));
  member.joining = boolean_at(row, 2);
  member.published = boolean_at(row, 3);
  if (!member.published) return member;
  member.generation = integer_at(row, 4);
  member.epoch = integer_at(row, 5);
  member.healed = boolean_at(row, 6);
  member.safe = stamp_at(row, 7);
  member.laid_down = stamp_at(row, 8);
  member.parked = bigint_at(row, 9);
  read_applied(row, 10, 11, &member, context);
  return member;
}

void select(const char* query) {
  // Not read-only: with a snapshot of its own, to see what was committed meanwhile.
  const int outcome = SPI_execute(query, false, 0);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(outcome));
}

// Core lane.
PeerProgress to_core(const MemberStanding& member) {
  PeerProgress progress{member.member, member.safe, {}, member.safe, member.laid_down};
  for (int i = 0; i < member.origin_count; ++i) progress.applied.push_back({member.origins[i], member.applied[i]});
  return progress;
}

// Core lane. The result names the origins of the first stream, in their order, and goes into its arrays.
void keep_what_all_have(MemberStanding* member, const MemberStanding* streams, int count) {
  std::vector<PeerProgress> each;
  for (int i = 0; i < count; ++i) each.push_back(to_core(streams[i]));
  const PeerProgress all = over_streams(each);
  member->safe = all.safe;
  member->laid_down = all.laid_down;
  for (int i = 0; i < member->origin_count; ++i) member->applied[i] = all.applied[static_cast<std::size_t>(i)].upto;
}

// The streams of one member, together. `expected`: how many there are.
MemberStanding join_streams(const MemberStanding* streams, int count, int expected) {
  MemberStanding member = streams[0];
  member.published = member.published && count == expected;
  if (!member.published || count == 1) return member;
  for (int i = 1; i < count; ++i) {
    if (streams[i].generation != member.generation) member.generation = 0;
    member.healed = member.healed && streams[i].healed;
    member.parked = std::max(member.parked, streams[i].parked);
  }
  guarded([&] { keep_what_all_have(&member, streams, count); });
  return member;
}

// The rows of the query, which are ordered by member, as members. Results live in `context`.
void read_members(Standing* standing, MemoryContext context) {
  const int rows = static_cast<int>(SPI_processed);
  standing->members = static_cast<MemberStanding*>(
      MemoryContextAllocZero(context, sizeof(MemberStanding) * (static_cast<Size>(rows) + 1)));
  MemberStanding streams[max_streams];
  for (int row = 0; row < rows;) {
    const int expected = integer_at(row, 12);
    int count = 0;
    do {
      streams[count++] = read_stream(row++, context);
    } while (row < rows && count < max_streams && integer_at(row, 1) == streams[0].member);
    standing->members[standing->count++] = join_streams(streams, count, expected);
  }
}

std::vector<std::uint16_t> all_members(const Standing& standing) {
  std::vector<std::uint16_t> members;
  for (int i = 0; i < standing.count; ++i) members.push_back(standing.members[i].member);
  return members;
}

std::vector<PeerProgress> counting_peers(const Standing& standing) {
  std::vector<PeerProgress> peers;
  for (int i = 0; i < standing.count; ++i) {
    const MemberStanding& member = standing.members[i];
    if (member.member != standing.self && count_of(standing, member) == Count::counts) peers.push_back(to_core(member));
  }
  return peers;
}

}  // namespace

bool read_standing(Standing* standing) {
  const MemoryContext context = CurrentMemoryContext;
  *standing = {};
  SPI_connect();
  select(
      "SELECT l.member, l.epoch, g.number, g.epoch, g.held IS NOT NULL "
      "FROM meridian.local_member l CROSS JOIN meridian.generation g");
  const bool found = SPI_processed > 0;
  if (found) {
    standing->self = static_cast<std::uint16_t>(integer_at(0, 1));
    standing->epoch = integer_at(0, 2);
    standing->generation = integer_at(0, 3);
    standing->generation_epoch = integer_at(0, 4);
    standing->held = boolean_at(0, 5);
    // This node reads from all others through as many streams as it has.
    select(
        "SELECT m.id, m.state OPERATOR(pg_catalog.<>) 'active', p.member IS NOT NULL, p.generation, p.epoch, p.healed, "
        "p.safe, p.laid_down, p.parked, p.origins, p.applied, r.streams "
        "FROM meridian.local_member l JOIN meridian.member s ON s.id OPERATOR(pg_catalog.=) l.member "
        "CROSS JOIN meridian.member m "
        "CROSS JOIN LATERAL (SELECT CASE WHEN m.id OPERATOR(pg_catalog.=) s.id THEN 1 ELSE s.streams END) r(streams) "
        "LEFT JOIN meridian.progress p ON p.member OPERATOR(pg_catalog.=) m.id "
        "AND p.stream OPERATOR(pg_catalog.<=) r.streams ORDER BY m.id, p.stream");
    read_members(standing, context);
  }
  SPI_finish();
  return found && own_standing(*standing) != nullptr;
}

Count count_of(const Standing& standing, const MemberStanding& member) {
  if (member.joining) return Count::joining;
  if (!member.published) return Count::silent;
  if (member.generation != standing.generation) return Count::other_generation;
  return member.healed ? Count::counts : Count::epoch_raised;
}

const MemberStanding* own_standing(const Standing& standing) {
  for (int i = 0; i < standing.count; ++i) {
    if (standing.members[i].member == standing.self) return &standing.members[i];
  }
  return nullptr;
}

bool anyone_joining(const Standing& standing) {
  for (int i = 0; i < standing.count; ++i) {
    if (standing.members[i].joining) return true;
  }
  return false;
}

Hlc cut_by(const Standing& standing, const MemberStanding& member) {
  if (count_of(standing, member) != Count::counts) return never;
  return guarded([&] { return peer_cut(to_core(member), all_members(standing)); });
}

Hlc stable_here(const Standing& standing) {
  return guarded([&] { return stable_cut(standing.self, all_members(standing), counting_peers(standing)); });
}

Hlc laid_down_by_all(const Standing& standing, Hlc own) {
  return guarded([&] { return forgotten_cut(standing.self, own, all_members(standing), counting_peers(standing)); });
}

}  // namespace meridian::pg

/// meridian.member_cuts() returns set of (member integer, counts boolean, cut bigint, state text)
MERIDIAN_FUNCTION(meridian_member_cuts)
{
  using namespace meridian::pg;
  constexpr const char* names[] = {"counts", "joining", "silent", "other generation", "epoch raised"};
  InitMaterializedSRF(fcinfo, 0);
  auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Standing standing;
  if (!read_standing(&standing)) PG_RETURN_NULL();
  for (int i = 0; i < standing.count; ++i) {
    const MemberStanding& member = standing.members[i];
    if (member.member == standing.self) continue;
    const Count count = count_of(standing, member);
    const Datum values[] = {Int32GetDatum(member.member), BoolGetDatum(count == Count::counts),
                            Int64GetDatum(static_cast<std::int64_t>(cut_by(standing, member).value)),
                            CStringGetTextDatum(names[static_cast<int>(count)])};
    const bool nulls[4] = {};
    tuplestore_putvalues(result->setResult, result->setDesc, const_cast<Datum*>(values), const_cast<bool*>(nulls));
  }
  PG_RETURN_NULL();
}
