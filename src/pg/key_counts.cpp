// One lock, taken for each row of a counted table: it is off unless meridian.counted_keys is set.
#include "pg/key_counts.hpp"

#include "core/key_counts.hpp"
#include "pg/registry.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {

int counted_keys;

namespace {

struct Shared {
  LWLock lock;
  TimestampTz since;
};

Shared* shared = nullptr;
KeyCounts counts;

/// Keys are UTF-8; in databases of other encodings only those are shown that are ASCII.
bool is_readable(std::string_view key) {
  return GetDatabaseEncoding() == PG_UTF8 ||
         std::none_of(key.begin(), key.end(), [](char each) { return IS_HIGHBIT_SET(each); });
}

}  // namespace

void count_key(std::string_view key, bool away) {
  if (counts.size() == 0) return;
  LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
  counts.note(key, away);
  LWLockRelease(&shared->lock);
}

Size key_counts_shmem_size() {
  return MAXALIGN(sizeof(Shared)) + KeyCounts::bytes(static_cast<std::uint32_t>(counted_keys));
}

void key_counts_shmem_init() {
  bool found;
  auto* const memory = static_cast<char*>(ShmemInitStruct("meridian key counts", key_counts_shmem_size(), &found));
  shared = reinterpret_cast<Shared*>(memory);
  counts = KeyCounts(memory + MAXALIGN(sizeof(Shared)), static_cast<std::uint32_t>(counted_keys));
  if (!found) {
    LWLockInitialize(&shared->lock, LWLockNewTrancheId());
    shared->since = GetCurrentTimestamp();
    counts.reset();
  }
  LWLockRegisterTranche(shared->lock.tranche, "MeridianKeyCounts");
}

}  // namespace meridian::pg

/// meridian.read_key_counts() returns setof (key text, written bigint, away bigint, since timestamptz)
MERIDIAN_FUNCTION(meridian_read_key_counts)
{
  using namespace meridian;
  using namespace meridian::pg;
  InitMaterializedSRF(fcinfo, 0);
  auto* const info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (counts.size() == 0) PG_RETURN_NULL();
  // Copied first: forming rows may raise, and takes longer than others should wait.
  auto* const copy = static_cast<KeyCount*>(palloc(sizeof(KeyCount) * counts.size()));
  LWLockAcquire(&shared->lock, LW_SHARED);
  for (std::uint32_t i = 0; i < counts.size(); ++i) copy[i] = counts[i];
  const TimestampTz since = shared->since;
  LWLockRelease(&shared->lock);
  for (std::uint32_t i = 0; i < counts.size(); ++i) {
    if (copy[i].total() == 0 || !is_readable(copy[i].view())) continue;
    const char* const key = pnstrdup(copy[i].key, copy[i].length);
    Datum values[] = {readable_text(key, copy[i].length + Size{1}),
                      Int64GetDatum(static_cast<std::int64_t>(copy[i].written)),
                      Int64GetDatum(static_cast<std::int64_t>(copy[i].away)), TimestampTzGetDatum(since)};
    bool nulls[] = {false, false, false, false};
    tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
  }
  PG_RETURN_NULL();
}

/// meridian.reset_key_counts() returns void
MERIDIAN_FUNCTION(meridian_reset_key_counts)
{
  using namespace meridian::pg;
  if (counts.size() != 0) {
    LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
    counts.reset();
    shared->since = GetCurrentTimestamp();
    LWLockRelease(&shared->lock);
  }
  PG_RETURN_VOID();
}
