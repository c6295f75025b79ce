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

TableCounters* counters = nullptr;

TableCounters* slot_of(Oid relation) {
  std::uint32_t at = murmurhash32(relation) % slots;
  for (std::uint32_t probe = 0; probe < slots; ++probe, at = (at + 1) % slots) {
    TableCounters* slot = &counters[at];
    uint32 holder = pg_atomic_read_u32(&slot->relation);
    if (holder == relation) return slot;
    if (holder != 0) continue;
    if (pg_atomic_compare_exchange_u32(&slot->relation, &holder, relation) || holder == relation) return slot;
  }
  return nullptr;
}

}  // namespace

void count_stat(Oid relation, Stat stat) {
  if (counters == nullptr) return;
  TableCounters* slot = slot_of(relation);
  if (slot != nullptr) pg_atomic_fetch_add_u64(&slot->counts[static_cast<std::size_t>(stat)], 1);
}

void set_careful_until(Oid relation, TimestampTz until) {
  if (counters == nullptr) return;
  TableCounters* slot = slot_of(relation);
  if (slot != nullptr) pg_atomic_write_u64(&slot->careful_until, static_cast<std::uint64_t>(until));
}

TimestampTz careful_until(Oid relation) {
  if (counters == nullptr) return 0;
  TableCounters* slot = slot_of(relation);
  return slot == nullptr ? 0 : static_cast<TimestampTz>(pg_atomic_read_u64(&slot->careful_until));
}

Size stat_tables_shmem_size() { return mul_size(slots, sizeof(TableCounters)); }

void stat_tables_shmem_init() {
  bool found = false;
  counters = static_cast<TableCounters*>(ShmemInitStruct("meridian table counters", stat_tables_shmem_size(), &found));
  if (found) return;
  for (std::uint32_t i = 0; i < slots; ++i) {
    pg_atomic_init_u32(&counters[i].relation, 0);
    pg_atomic_init_u64(&counters[i].careful_until, 0);
    for (pg_atomic_uint64& count : counters[i].counts) pg_atomic_init_u64(&count, 0);
  }
}

}  // namespace meridian::pg

MERIDIAN_FUNCTION(meridian_table_counters)
{
  using namespace meridian::pg;
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  for (std::uint32_t i = 0; counters != nullptr && i < slots; ++i) {
    const Oid relation = pg_atomic_read_u32(&counters[i].relation);
    if (relation == 0) continue;
    Datum values[kinds + 1];
    bool nulls[kinds + 1] = {};
    values[0] = ObjectIdGetDatum(relation);
    for (std::size_t k = 0; k < kinds; ++k) {
      values[k + 1] = Int64GetDatum(static_cast<std::int64_t>(pg_atomic_read_u64(&counters[i].counts[k])));
    }
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  return static_cast<Datum>(0);
}
