// An index scan as PostgreSQL's own, with one difference: when it prunes. An ordinary fetch prunes a page as soon as it
// is fuller than the table's fillfactor, which under a stream of updates is at every visit, for one dead version each;
// that is a sixth of the whole work of an apply worker. Here a page is pruned when it has no room left for the version
// that is about to be written, for many dead versions at once. (heapam_handler.c, heapam_index_fetch_tuple.)
#include "pg/row_lookup.hpp"

#include "pg/support/compat.hpp"

namespace meridian::pg {
namespace {

void make_scan_keys(const RowPlan* plan, const RowValues& key, ScanKeyData* scan_keys) {
  for (int i = 0; i < plan->key_count; ++i) {
    const KeyColumn& column = plan->keys[i];
    const int c = column.attnum - 1;
    ScanKeyEntryInitializeWithInfo(&scan_keys[i], key.nulls[c] ? SK_ISNULL : 0, static_cast<AttrNumber>(i + 1),
                                   BTEqualStrategyNumber, InvalidOid, column.collation,
                                   const_cast<FmgrInfo*>(&column.equals_info), key.values[c]);
  }
}

struct Fetched {
  bool found;
  bool is_dead;     ///< to everybody: the index need not lead here any more
  bool is_crowded;  ///< no room on the page for two more versions of this size
};

// Looks for the visible version in the chain that begins at `tid`. The buffer is pinned and not locked.
Fetched search_chain(Relation relation, Buffer buffer, ItemPointerData tid, Snapshot snapshot, HeapTuple tuple) {
  Fetched fetched{};
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  fetched.found = heap_hot_search_buffer(&tid, relation, buffer, snapshot, tuple, &fetched.is_dead, true);
  if (fetched.found) {
    fetched.is_crowded = PageGetHeapFreeSpace(BufferGetPage(buffer)) < 2 * MAXALIGN(tuple->t_len);
    tuple->t_self = tid;
    tuple->t_tableOid = RelationGetRelid(relation);
  }
  LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
  return fetched;
}

bool fetch(Relation relation, IndexScanDesc scan, ItemPointer tid, TupleTableSlot* row) {
  HeapTupleData tuple;
  const Buffer buffer = ReadBuffer(relation, ItemPointerGetBlockNumber(tid));
  Fetched fetched = search_chain(relation, buffer, *tid, scan->xs_snapshot, &tuple);
  if (fetched.is_crowded) {
    // Versions move within the page, and what is visible to us stays.
    heap_page_prune_opt(relation, buffer);
    fetched = search_chain(relation, buffer, *tid, scan->xs_snapshot, &tuple);
  }
  if (!scan->xactStartedInRecovery) scan->kill_prior_tuple = fetched.is_dead;
  if (!fetched.found) {
    ReleaseBuffer(buffer);
    return false;
  }
  pgstat_count_heap_fetch(scan->indexRelation);
  ExecStoreHeapTuple(heap_copytuple(&tuple), row, false);
  ReleaseBuffer(buffer);
  return true;
}

// Another access method fetches in its own way.
bool fetch_other(Relation relation, IndexScanDesc scan, TupleTableSlot* row) {
  TupleTableSlot* slot = table_slot_create(relation, nullptr);
  const bool found = index_getnext_slot(scan, ForwardScanDirection, slot);
  if (found) {
    ExecStoreHeapTuple(ExecCopySlotHeapTuple(slot), row, false);
    row->tts_tid = slot->tts_tid;
    row->tts_tableOid = slot->tts_tableOid;
  }
  ExecDropSingleTupleTableSlot(slot);
  return found;
}

bool fetch_next(Relation relation, IndexScanDesc scan, TupleTableSlot* row) {
  if (relation->rd_tableam != GetHeapamTableAmRoutine()) return fetch_other(relation, scan, row);
  while (ItemPointer tid = index_getnext_tid(scan, ForwardScanDirection)) {
    if (fetch(relation, scan, tid, row)) return true;
  }
  return false;
}

// The active snapshot, if it shows what this transaction has written so far.
Snapshot snapshot_for(Seen seen) {
  if (seen == Seen::at_start && ActiveSnapshotSet()) {
    const Snapshot active = GetActiveSnapshot();
    if (active->snapshot_type == SNAPSHOT_MVCC && active->curcid == GetCurrentCommandId(false)) return active;
  }
  return RegisterSnapshot(GetLatestSnapshot());
}

}  // namespace

bool find_row(Relation relation, const RowPlan* plan, const RowValues& key, Seen seen, TupleTableSlot* row) {
  Relation index = index_open(plan->key_index, RowExclusiveLock);
  Snapshot snapshot = snapshot_for(seen);
  IndexScanDesc scan = compat::index_beginscan(relation, index, snapshot, plan->key_count, 0);
  ScanKeyData scan_keys[INDEX_MAX_KEYS];
  make_scan_keys(plan, key, scan_keys);
  index_rescan(scan, scan_keys, plan->key_count, nullptr, 0);
  const bool found = fetch_next(relation, scan, row);
  index_endscan(scan);
  if (snapshot != GetActiveSnapshot()) UnregisterSnapshot(snapshot);
  index_close(index, NoLock);
  return found;
}

}  // namespace meridian::pg
