// Which tombstones go, and which stay although they are stable:
//   - those that are not settled here
//   - those of a table whose rows are being copied outside the streams (not `filled`): a copy shows rows as they were
//   when
//     it began, and no progress speaks of it
//   - those of a key of which a row is parked here: it may be an image of the deleted life, and comes late
//   - all, while a row is parked whose key is not known
//   - all, while a member is joining (it has yet to hear of them), while the generation is held, and when the own epoch
//     was raised in this generation
//
// Tombstones of lww() tables go in two steps, see core/stability.hpp: first they are laid down, then, when all members
// have published that, they are dropped.
//
// Nothing of this leaves the node: deletes are not published, and laying down is done in apply mode.
#include "pg/tombstone_removal.hpp"

#include <algorithm>

#include "pg/applying.hpp"
#include "pg/hlc.hpp"
#include "pg/identity.hpp"
#include "pg/standing.hpp"

namespace meridian::pg {
namespace {

// A pass of the keeper is one transaction; the rest waits for the next.
constexpr std::int64_t most_per_pass = 10000;

// Of the keeper; after a restart it is found again before anything is published.
Hlc laid_down_upto;

// Settled tombstones that may go, by their places. $1: written at or below; $2: how many at most.
#define MERIDIAN_PICK(condition)                                                                                      \
  "ctid = ANY (ARRAY(SELECT s.ctid FROM meridian.replicated_table t CROSS JOIN LATERAL "                              \
  "(SELECT x.ctid FROM meridian.tombstone x WHERE x.table_id = t.id AND x.settled AND x.written <= $1 AND " condition \
  " AND NOT EXISTS (SELECT FROM meridian.parked_image p WHERE p.rel = t.rel AND p.key_hash = x.key_hash) "            \
  "LIMIT $2) s WHERE t.filled AND NOT " MERIDIAN_UNKNOWN " LIMIT $2))"
// A misfit waits whose key, or whose table's number, is not known here.
#define MERIDIAN_UNKNOWN                                                                              \
  "EXISTS (SELECT FROM meridian.parked_image p WHERE p.sent_table IS NOT NULL AND (p.key IS NULL OR " \
  "NOT EXISTS (SELECT FROM meridian.replicated_table r WHERE r.rel = p.rel)))"
#define MERIDIAN_BY_TIMESTAMP "EXISTS (SELECT FROM unnest(t.rules) r(rule) WHERE starts_with(r.rule, 'row=lww('))"

constexpr const char* drop_stable =
    "DELETE FROM meridian.tombstone WHERE " MERIDIAN_PICK("NOT x.laid_down AND NOT " MERIDIAN_BY_TIMESTAMP);
constexpr const char* lay_down_stable =
    "UPDATE meridian.tombstone SET laid_down = true WHERE " MERIDIAN_PICK("NOT x.laid_down AND " MERIDIAN_BY_TIMESTAMP);
constexpr const char* drop_laid_down = "DELETE FROM meridian.tombstone WHERE " MERIDIAN_PICK("x.laid_down");

// The oldest tombstone of lww() tables that is not laid down.
constexpr const char* first_not_laid_down =
    "SELECT min(s.written) FROM meridian.replicated_table t CROSS JOIN LATERAL ("
    "(SELECT x.written FROM meridian.tombstone x WHERE x.table_id = t.id AND x.settled AND NOT x.laid_down "
    "ORDER BY x.written LIMIT 1) UNION ALL "
    "(SELECT x.written FROM meridian.tombstone x WHERE x.table_id = t.id AND NOT x.settled AND NOT x.laid_down)) s "
    "WHERE " MERIDIAN_BY_TIMESTAMP;

#undef MERIDIAN_UNKNOWN
#undef MERIDIAN_BY_TIMESTAMP
#undef MERIDIAN_PICK

void change(const char* statement, int expected, Hlc upto) {
  Oid types[] = {INT8OID, INT8OID};
  Datum values[] = {Int64GetDatum(static_cast<std::int64_t>(upto.value)), Int64GetDatum(most_per_pass)};
  const int outcome = SPI_execute_with_args(statement, lengthof(types), types, values, nullptr, false, 0);
  if (outcome != expected) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
}

// How far everything is laid down when the stable ones up to `cut` are.
Hlc first_still_up(Hlc cut) {
  const int outcome = SPI_execute(first_not_laid_down, false, 1);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(outcome));
  bool is_null = true;
  const Datum first = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
  if (is_null) return cut;
  return std::min(cut, Hlc{static_cast<std::uint64_t>(std::max<std::int64_t>(DatumGetInt64(first) - 1, 0))});
}

bool may_remove(const Standing& standing) {
  return !standing.held && standing.epoch == standing.generation_epoch && !anyone_joining(standing);
}

// False while a copy runs; a copy that begins waits until this transaction has ended.
bool keep_copies_out() {
  Oid types[] = {INT8OID};
  Datum values[] = {Int64GetDatum(copy_lock)};
  const int outcome =
      SPI_execute_with_args("SELECT pg_try_advisory_xact_lock($1)", lengthof(types), types, values, nullptr, false, 1);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
  bool is_null = false;
  return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
}

void remove_upto(const Standing& standing, Hlc cut) {
  change(drop_stable, SPI_OK_DELETE, cut);
  enter_apply_mode();
  change(lay_down_stable, SPI_OK_UPDATE, cut);
  leave_apply_mode();
  laid_down_upto = first_still_up(cut);
  change(drop_laid_down, SPI_OK_DELETE, laid_down_by_all(standing, laid_down_upto));
}

}  // namespace

Hlc laid_down_here() { return laid_down_upto; }

void drop_stable_tombstones() {
  Standing standing;
  laid_down_upto = never;
  if (!is_confirmed_member() || !read_standing(&standing) || !may_remove(standing)) return;
  // Alone in the mesh nothing is held back; what is written later lies above the clock.
  const Hlc cut = std::min(stable_here(standing), clock_now());
  if (cut == never) return;
  SPI_connect();
  if (keep_copies_out()) remove_upto(standing, cut);
  SPI_finish();
}

}  // namespace meridian::pg
