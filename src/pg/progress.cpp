// What this member has applied: noted, and published when it has become true for everybody.
//
// A publication has three phases, each looked at once per pass of the keeper:
//   note     the clock (`safe`), then what has arrived of the others' publications (`applied`), then the next xid:
//   every
//            transaction that has stamped anything at or below `safe` has a smaller one, because a write takes its xid
//            before its stamp. Nothing is noted while a tombstone is parked: it is not applied, whoever sent it
//   ended    all of them have ended, prepared ones too. Their tombstones, and those that were applied when the note was
//            taken, are committed below the next xid of this moment
//   settled  those tombstones have had the keeper's second look. Before it, a transaction that began earlier may still
//            bring the row, and a local update of that row would leave this node after the publication
// Then note and count of parked changes are written as a local change of this node. It is in the stream behind all that
// the note speaks of, so who receives it has received that.
//
// The row of a member is updated in place of being added to; the mesh plugin sends an UPDATE as an INSERT, through each
// stream of the receiver, and the trigger there replaces what it had of the member through that stream.
//
// Published is only what differs from the last publication. A member's `applied` moves only when another's `safe` has,
// and `safe` only when the clock has, so a quiet mesh falls silent.
#include "pg/progress.hpp"

#include <algorithm>

#include "pg/applying.hpp"
#include "pg/catalog.hpp"
#include "pg/hlc.hpp"
#include "pg/identity.hpp"
#include "pg/standing.hpp"
#include "pg/support/function.hpp"
#include "pg/tombstone.hpp"
#include "pg/tombstone_removal.hpp"

namespace meridian::pg {
namespace {

namespace progress_column {
enum : int {
  member,
  stream,
  generation,
  epoch,
  healed,
  safe,
  origins,
  applied,
  laid_down,
  parked,
  published_at,
  received_at,
  columns
};
}

/// What has been noted and is not published yet. The arrays are in TopMemoryContext.
struct Note {
  bool open;
  bool ended;
  TransactionId horizon;        ///< phase `ended`: all transactions below have ended
  TransactionId settled_below;  ///< phase `settled`: all tombstones of transactions below are settled
  std::int32_t generation;
  std::int32_t epoch;
  Hlc safe;
  int count;
  std::uint16_t* origins;
  Hlc* applied;
};

Note note;

struct ParkedCounts {
  std::int64_t all;
  std::int64_t tombstones;
};

ParkedCounts count_parked() {
  ParkedCounts counts{};
  SPI_connect();
  const int outcome = SPI_execute(
      "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE p.rel OPERATOR(pg_catalog.=) "
      "'meridian.tombstone'::pg_catalog.regclass) FROM meridian.parked_image p",
      false, 1);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(outcome));
  bool is_null = false;
  counts.all = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
  counts.tombstones = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null));
  SPI_finish();
  return counts;
}

void forget_note() {
  if (note.origins != nullptr) pfree(note.origins);
  if (note.applied != nullptr) pfree(note.applied);
  note = {};
}

Hlc received_from(const Standing& standing, const MemberStanding& member) {
  return count_of(standing, member) == Count::counts ? member.safe : never;
}

// A member that is still joining is none whose progress anybody could know: everybody publishes again when it has
// become active, and so the new member, too, hears from all.
void take_note(const Standing& standing) {
  const Hlc safe = clock_now();
  const MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
  note.origins = static_cast<std::uint16_t*>(palloc(sizeof(std::uint16_t) * (static_cast<Size>(standing.count) + 1)));
  note.applied = static_cast<Hlc*>(palloc(sizeof(Hlc) * (static_cast<Size>(standing.count) + 1)));
  MemoryContextSwitchTo(caller);
  note.count = 0;
  for (int i = 0; i < standing.count; ++i) {
    const MemberStanding& member = standing.members[i];
    if (member.member == standing.self || member.joining) continue;
    note.origins[note.count] = member.member;
    note.applied[note.count++] = received_from(standing, member);
  }
  note.safe = safe;
  note.generation = standing.generation;
  note.epoch = standing.epoch;
  note.open = true;
  note.ended = false;
  note.horizon = XidFromFullTransactionId(ReadNextFullTransactionId());
}

// True if the note says what was published already.
bool is_old(const Standing& standing, std::int64_t parked) {
  const MemberStanding* own = own_standing(standing);
  if (!own->published || own->generation != note.generation || own->epoch != note.epoch) return false;
  if (own->safe != note.safe || own->origin_count != note.count || own->parked != parked) return false;
  if (own->laid_down != laid_down_here()) return false;
  return std::equal(note.origins, note.origins + note.count, own->origins) &&
         std::equal(note.applied, note.applied + note.count, own->applied);
}

bool has_ended() {
  if (note.ended) return true;
  if (!TransactionIdPrecedesOrEquals(note.horizon, GetOldestActiveTransactionId())) return false;
  note.ended = true;
  note.settled_below = XidFromFullTransactionId(ReadNextFullTransactionId());
  return true;
}

void write_progress(const Standing& standing, std::int64_t parked) {
  auto* origins = static_cast<Datum*>(palloc(sizeof(Datum) * (static_cast<Size>(note.count) + 1)));
  auto* applied = static_cast<Datum*>(palloc(sizeof(Datum) * (static_cast<Size>(note.count) + 1)));
  for (int i = 0; i < note.count; ++i) {
    origins[i] = Int32GetDatum(note.origins[i]);
    applied[i] = Int64GetDatum(static_cast<std::int64_t>(note.applied[i].value));
  }
  Oid types[] = {INT4OID, INT4OID, INT4OID, BOOLOID, INT8OID, INT4ARRAYOID, INT8ARRAYOID, INT8OID, INT8OID};
  Datum values[] = {Int32GetDatum(standing.self),
                    Int32GetDatum(note.generation),
                    Int32GetDatum(note.epoch),
                    BoolGetDatum(standing.epoch == standing.generation_epoch),
                    Int64GetDatum(static_cast<std::int64_t>(note.safe.value)),
                    PointerGetDatum(construct_array(origins, note.count, INT4OID, 4, true, TYPALIGN_INT)),
                    PointerGetDatum(construct_array(applied, note.count, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)),
                    Int64GetDatum(static_cast<std::int64_t>(laid_down_here().value)),
                    Int64GetDatum(parked)};
  SPI_connect();
  const int outcome = SPI_execute_with_args(
      "INSERT INTO meridian.progress AS p (member, generation, epoch, healed, safe, origins, applied, laid_down, "
      "parked, published_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, pg_catalog.now()) "
      "ON CONFLICT (member, stream) DO UPDATE SET generation = EXCLUDED.generation, epoch = EXCLUDED.epoch, healed = "
      "EXCLUDED.healed, safe = EXCLUDED.safe, origins = EXCLUDED.origins, applied = EXCLUDED.applied, laid_down = "
      "EXCLUDED.laid_down, parked = EXCLUDED.parked, published_at = EXCLUDED.published_at",
      lengthof(types), types, values, nullptr, false, 0);
  if (outcome != SPI_OK_INSERT) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
  SPI_finish();
}

// The marks stay where they are, but others hear how much is parked.
void republish_parked(const Standing& standing, std::int64_t parked) {
  const MemberStanding* own = own_standing(standing);
  if (!own->published || own->parked == parked) return;
  Oid types[] = {INT4OID, INT8OID};
  Datum values[] = {Int32GetDatum(standing.self), Int64GetDatum(parked)};
  SPI_connect();
  const int outcome = SPI_execute_with_args(
      "UPDATE meridian.progress SET parked = $2, published_at = pg_catalog.now() WHERE member OPERATOR(pg_catalog.=) "
      "$1",
      lengthof(types), types, values, nullptr, false, 0);
  if (outcome != SPI_OK_UPDATE) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
  SPI_finish();
}

// Only the apply worker of the stream writes its row, and begin_generation() locks the table.
void replace(Relation progress, HeapTuple arrived) {
  using namespace progress_column;
  CommandCounterIncrement();
  Datum values[columns];
  bool nulls[columns];
  heap_deform_tuple(arrived, RelationGetDescr(progress), values, nulls);
  if (DatumGetInt32(values[member]) == local_actor().member()) return;
  values[stream] = Int32GetDatum(arriving_stream().number);
  values[received_at] = TimestampTzGetDatum(GetCurrentTimestamp());
  nulls[received_at] = false;
  replace_row_in(progress, Index::progress_by_member, stream + 1, values, nulls);
}

}  // namespace

void publish_progress() {
  Standing standing;
  const bool may_publish =
      is_confirmed_member() && read_standing(&standing) && !standing.held && !own_standing(standing)->joining;
  if (!may_publish || note.generation != standing.generation || note.epoch != standing.epoch) forget_note();
  if (!may_publish) return;
  const ParkedCounts parked = count_parked();
  if (!note.open) {
    if (parked.tombstones > 0) {
      republish_parked(standing, parked.all);
      return;
    }
    take_note(standing);
    if (is_old(standing, parked.all)) {
      forget_note();
      return;
    }
  }
  if (!has_ended() || any_unsettled_before(note.settled_below)) return;
  write_progress(standing, parked.all);
  forget_note();
}

}  // namespace meridian::pg

/// Trigger of meridian.progress.
MERIDIAN_FUNCTION(meridian_fold_progress)
{
  using namespace meridian::pg;
  if (!CALLED_AS_TRIGGER(fcinfo)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.fold_progress() is a trigger function")));
  }
  auto* trigger = reinterpret_cast<TriggerData*>(fcinfo->context);
  if (RelationGetRelid(trigger->tg_relation) != table_oid(Table::progress) ||
      !TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
      !TRIGGER_FIRED_FOR_ROW(trigger->tg_event)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.fold_progress() is the trigger of meridian.progress only")));
  }
  if (!applying()) PG_RETURN_POINTER(trigger->tg_trigtuple);
  replace(trigger->tg_relation, trigger->tg_trigtuple);
  PG_RETURN_POINTER(nullptr);
}
