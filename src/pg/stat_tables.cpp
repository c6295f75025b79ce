#include "pg/stat_tables.hpp"

#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

constexpr std::uint32_t slots = 1024;
constexpr std::size_t kinds = static_cast<std::size_t>(Stat::count);

struct TableCounters {
  pg_atomic_uint32 relation;  // 0: free
  pg_atomic_uint64 careful_until;
  pg_atomic_uint64 counts[kinds];
};

struct Counters {
  pg_atomic_uint64 reset_at;  // TimestampTz
  TableCounters tables[slots];
  TableCounters overflow;  // of all tables without a slot; its relation stays 0
};

Counters* counters = nullptr;

// What this process counted last: an apply worker asks for the same table several times per image. Slots never move.
Oid last_relation = InvalidOid;
TableCounters* last_slot = nullptr;

TableCounters* slot_of(Oid relation) {
  std::uint32_t at = murmurhash32(relation) % slots;
  for (std::uint32_t probe = 0; probe < slots; ++probe, at = (at + 1) % slots) {
    TableCounters* slot = &counters->tables[at];
    uint32 holder = pg_atomic_read_u32(&slot->relation);
    if (holder == relation) return slot;
    if (holder != 0) continue;
    if (pg_atomic_compare_exchange_u32(&slot->relation, &holder, relation) || holder == relation) return slot;
  }
  return &counters->overflow;
}

TableCounters* find_slot(Oid relation) {
  if (relation != last_relation) {
    last_slot = slot_of(relation);
    last_relation = relation;
  }
  return last_slot;
}

bool counted_anything(TableCounters* slot) {
  return std::any_of(std::begin(slot->counts), std::end(slot->counts),
                     [](pg_atomic_uint64& count) { return pg_atomic_read_u64(&count) != 0; });
}

void show(ReturnSetInfo* result, TableCounters* slot, Oid relation) {
  Datum values[kinds + 2];
  bool nulls[kinds + 2] = {};
  values[0] = ObjectIdGetDatum(relation);
  nulls[0] = relation == 0;
  for (std::size_t k = 0; k < kinds; ++k) {
    values[k + 1] = Int64GetDatum(static_cast<std::int64_t>(pg_atomic_read_u64(&slot->counts[k])));
  }
  values[kinds + 1] = TimestampTzGetDatum(static_cast<TimestampTz>(pg_atomic_read_u64(&counters->reset_at)));
  tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

void set_to_zero(TableCounters* slot) {
  for (pg_atomic_uint64& count : slot->counts) pg_atomic_write_u64(&count, 0);
}

}  // namespace

void count_stat(Oid relation, Stat stat, std::uint64_t amount) {
  if (counters == nullptr) return;
  pg_atomic_fetch_add_u64(&find_slot(relation)->counts[static_cast<std::size_t>(stat)],
                          static_cast<std::int64_t>(amount));
}

void set_careful_until(Oid relation, TimestampTz until) {
  if (counters == nullptr) return;
  pg_atomic_write_u64(&find_slot(relation)->careful_until, static_cast<std::uint64_t>(until));
}

TimestampTz careful_until(Oid relation) {
  if (counters == nullptr) return 0;
  return static_cast<TimestampTz>(pg_atomic_read_u64(&find_slot(relation)->careful_until));
}

void count_merge_time(Oid relation, const instr_time& start) {
  instr_time passed;
  INSTR_TIME_SET_CURRENT(passed);
  INSTR_TIME_SUBTRACT(passed, start);
  count_stat(relation, Stat::merge_ns, static_cast<std::uint64_t>(INSTR_TIME_GET_DOUBLE(passed) * 1e9));
}

Size stat_tables_shmem_size() { return sizeof(Counters); }

void stat_tables_shmem_init() {
  bool found = false;
  counters = static_cast<Counters*>(ShmemInitStruct("meridian table counters", stat_tables_shmem_size(), &found));
  if (found) return;
  pg_atomic_init_u64(&counters->reset_at, static_cast<std::uint64_t>(GetCurrentTimestamp()));
  const auto init = [](TableCounters* slot) {
    pg_atomic_init_u32(&slot->relation, 0);
    pg_atomic_init_u64(&slot->careful_until, 0);
    for (pg_atomic_uint64& count : slot->counts) pg_atomic_init_u64(&count, 0);
  };
  for (TableCounters& slot : counters->tables) init(&slot);
  init(&counters->overflow);
}

}  // namespace meridian::pg

/// meridian.table_counters() returns set of (rel regclass, a bigint per Stat, reset_at timestamptz); rel is NULL for
/// the tables that found no slot.
MERIDIAN_FUNCTION(meridian_table_counters)
{
  using namespace meridian::pg;
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (counters == nullptr) return static_cast<Datum>(0);
  for (TableCounters& slot : counters->tables) {
    const Oid relation = pg_atomic_read_u32(&slot.relation);
    if (relation != 0) show(result, &slot, relation);
  }
  if (counted_anything(&counters->overflow)) show(result, &counters->overflow, InvalidOid);
  return static_cast<Datum>(0);
}

MERIDIAN_FUNCTION(meridian_reset_stat_tables)
{
  using namespace meridian::pg;
  if (counters == nullptr) PG_RETURN_VOID();
  pg_atomic_write_u64(&counters->reset_at, static_cast<std::uint64_t>(GetCurrentTimestamp()));
  for (TableCounters& slot : counters->tables) set_to_zero(&slot);
  set_to_zero(&counters->overflow);
  PG_RETURN_VOID();
}
