// The stored bound of the clock; see hlc_store.hpp.
//
// Why writing into a live tuple is safe:
//   - Only user data changes, eight aligned bytes of fixed width, so visibility, freezing and VACUUM are not concerned.
//   - Writers and our reader hold the buffer's content lock. An administrator's SELECT may read the bytes while they
//     change; nothing depends on what it sees.
//   - RowExclusiveLock on the table keeps VACUUM FULL and TRUNCATE from swapping the file underneath.
//   - A bound that another backend has written but not yet flushed is flushed by whoever relies on it.
// No transaction ever updates the row, so the page holds exactly one tuple; anything else is reported, not guessed at.

#include "pg/hlc_store.hpp"

#include "pg/support/postgres.hpp"

namespace meridian::pg {
namespace {

Oid clock_table() {
  const Oid schema = get_namespace_oid("meridian", true);
  const Oid table = OidIsValid(schema) ? get_relname_relid("clock", schema) : InvalidOid;
  if (!OidIsValid(table)) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("extension meridian is not installed in this database"),
                    errhint("Run CREATE EXTENSION meridian in the database that meridian.database names.")));
  }
  return table;
}

[[noreturn]] void report_damage() {
  ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("table meridian.clock does not hold exactly one row version"),
                  errhint("As superuser, TRUNCATE meridian.clock and insert one row with the bound that "
                          "meridian.clock_status() shows.")));
  pg_unreachable();
}

/// The bound inside the page's only tuple. The caller holds the buffer's content lock, or owns the copy of the page.
char* bound_in(Page page) {
  ItemId only = nullptr;
  for (OffsetNumber line = FirstOffsetNumber; line <= PageGetMaxOffsetNumber(page); ++line) {
    ItemId const item = PageGetItemId(page, line);
    if (!ItemIdIsNormal(item)) continue;
    if (only != nullptr) return nullptr;
    only = item;
  }
  if (only == nullptr) return nullptr;
  auto* const tuple = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, only));
  if (ItemIdGetLength(only) < tuple->t_hoff + sizeof(std::uint64_t)) return nullptr;
  return reinterpret_cast<char*>(tuple) + tuple->t_hoff;
}

std::uint64_t load(const char* bytes) {
  std::uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

std::uint64_t store_bound(std::uint64_t needed, std::uint64_t target) {
  const Relation relation = table_open(clock_table(), RowExclusiveLock);
  if (RelationGetNumberOfBlocks(relation) == 0) report_damage();
  const Buffer buffer = ReadBuffer(relation, 0);
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);

  const char* const stored = bound_in(BufferGetPage(buffer));
  if (stored == nullptr) report_damage();
  std::uint64_t bound = load(stored);
  XLogRecPtr written = PageGetLSN(BufferGetPage(buffer));
  if (bound < needed) {
    GenericXLogState* const change = GenericXLogStart(relation);
    const Page page = GenericXLogRegisterBuffer(change, buffer, 0);
    std::memcpy(bound_in(page), &target, sizeof target);
    written = GenericXLogFinish(change);
    bound = target;
  }
  UnlockReleaseBuffer(buffer);

  // Not needed in the transaction that creates the extension under wal_level = minimal, whose file is not logged.
  if (RelationNeedsWAL(relation)) XLogFlush(written);
  table_close(relation, RowExclusiveLock);
  return bound;
}

}  // namespace meridian::pg
