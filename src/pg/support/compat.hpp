// Differences between the supported PostgreSQL versions (15 to 18), as functions with the newest version's meaning.
//
// The only file that looks at PG_VERSION_NUM. Each function is one call in the glue lane (see guard.hpp) and has the
// name of what it wraps, so that a reader can look it up in PostgreSQL's sources.
#pragma once

#include "pg/support/postgres.hpp"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "Meridian supports PostgreSQL 15 to 18"
#endif

/// Declares the module to PostgreSQL, at namespace scope, once per library. 18 and later show name and version in
/// pg_get_loaded_modules(). MERIDIAN_VERSION comes from the build, which reads it from meridian.control.
#if PG_VERSION_NUM >= 180000
#define MERIDIAN_MODULE_MAGIC(module_name)                               \
  extern "C" {                                                           \
  PG_MODULE_MAGIC_EXT(.name = module_name, .version = MERIDIAN_VERSION); \
  }
#else
#define MERIDIAN_MODULE_MAGIC(module_name) \
  extern "C" {                             \
  PG_MODULE_MAGIC;                         \
  }
#endif

namespace meridian::pg::compat {

// --- tables and indexes -------------------------------------------------------------------------------------------

/// Inserts the index entries of the row in `slot`; returns the deferred-unique indexes to recheck
/// (executor/execIndexing.c). `summarizing_only`: a HOT update that needs summarizing indexes (BRIN) alone; never so
/// before 16.
inline List* exec_insert_index_tuples(ResultRelInfo* rel_info, TupleTableSlot* slot, EState* estate, bool update,
                                      bool no_duplicate_error, bool* speculative_conflict, List* arbiters,
                                      [[maybe_unused]] bool summarizing_only) {
#if PG_VERSION_NUM >= 160000
  return ExecInsertIndexTuples(rel_info, slot, estate, update, no_duplicate_error, speculative_conflict, arbiters,
                               summarizing_only);
#else
  return ExecInsertIndexTuples(rel_info, slot, estate, update, no_duplicate_error, speculative_conflict, arbiters);
#endif
}

/// False if the row in `slot` would conflict on one of `arbiters`; `conflict` then names the other row.
inline bool exec_check_index_constraints(ResultRelInfo* rel_info, TupleTableSlot* slot, EState* estate,
                                         ItemPointer conflict, List* arbiters) {
#if PG_VERSION_NUM >= 180000
  ItemPointerData none;
  ItemPointerSetInvalid(&none);
  return ExecCheckIndexConstraints(rel_info, slot, estate, conflict, &none, arbiters);
#else
  return ExecCheckIndexConstraints(rel_info, slot, estate, conflict, arbiters);
#endif
}

/// Which indexes an update must touch: none (HOT), those that summarize blocks, or all.
struct UpdatedIndexes {
  bool any;
  bool summarizing_only;
};

/// table_tuple_update that waits for the row; `lock_mode` and the result's index needs are outputs.
inline TM_Result table_tuple_update(Relation rel, ItemPointer tid, TupleTableSlot* slot, CommandId cid,
                                    Snapshot snapshot, Snapshot crosscheck, bool wait, TM_FailureData* failure,
                                    LockTupleMode* lock_mode, UpdatedIndexes* indexes) {
#if PG_VERSION_NUM >= 160000
  TU_UpdateIndexes which = TU_None;
  const TM_Result result =
      ::table_tuple_update(rel, tid, slot, cid, snapshot, crosscheck, wait, failure, lock_mode, &which);
  *indexes = {which != TU_None, which == TU_Summarizing};
#else
  bool any = false;
  const TM_Result result =
      ::table_tuple_update(rel, tid, slot, cid, snapshot, crosscheck, wait, failure, lock_mode, &any);
  *indexes = {any, false};
#endif
  return result;
}

/// simple_table_tuple_update: errors if the row was changed or deleted meanwhile.
inline UpdatedIndexes simple_table_tuple_update(Relation rel, ItemPointer tid, TupleTableSlot* slot,
                                                Snapshot snapshot) {
#if PG_VERSION_NUM >= 160000
  TU_UpdateIndexes which = TU_None;
  ::simple_table_tuple_update(rel, tid, slot, snapshot, &which);
  return {which != TU_None, which == TU_Summarizing};
#else
  bool any = false;
  ::simple_table_tuple_update(rel, tid, slot, snapshot, &any);
  return {any, false};
#endif
}

/// simple_heap_update: as above for a heap tuple.
inline UpdatedIndexes simple_heap_update(Relation rel, ItemPointer tid, HeapTuple tuple) {
#if PG_VERSION_NUM >= 160000
  TU_UpdateIndexes which = TU_None;
  ::simple_heap_update(rel, tid, tuple, &which);
  return {which != TU_None, which == TU_Summarizing};
#else
  ::simple_heap_update(rel, tid, tuple);
  return {!HeapTupleIsHeapOnly(tuple), false};
#endif
}

/// index_beginscan without instrumentation.
inline IndexScanDesc index_beginscan(Relation heap, Relation index, Snapshot snapshot, int nkeys, int norderbys) {
#if PG_VERSION_NUM >= 180000
  return ::index_beginscan(heap, index, snapshot, nullptr, nkeys, norderbys);
#else
  return ::index_beginscan(heap, index, snapshot, nkeys, norderbys);
#endif
}

/// The primary key's index, InvalidOid if there is none or it is deferrable.
inline Oid relation_get_primary_key_index(Relation rel) {
#if PG_VERSION_NUM >= 180000
  return RelationGetPrimaryKeyIndex(rel, false);
#else
  // Before 18 the call cannot be told whether deferrable keys count.
  const Oid index = RelationGetPrimaryKeyIndex(rel);
  if (!OidIsValid(index)) {
    return InvalidOid;
  }
  const HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
  if (!HeapTupleIsValid(tuple)) {
    return InvalidOid;
  }
  const bool immediate = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple))->indimmediate;
  ReleaseSysCache(tuple);
  return immediate ? index : InvalidOid;
#endif
}

/// The sequence behind an identity column.
inline Oid get_identity_sequence(Relation rel, AttrNumber column) {
#if PG_VERSION_NUM >= 170000
  return getIdentitySequence(rel, column, false);
#else
  return getIdentitySequence(RelationGetRelid(rel), column, false);
#endif
}

// --- executor -----------------------------------------------------------------------------------------------------

/// Gives `estate` a range table of one relation at index 1, as replication's apply worker does. `updated`: the columns
/// that an UPDATE sets, offset by FirstLowInvalidHeapAttributeNumber; UPDATE OF triggers look at them.
inline void exec_init_range_table(EState* estate, RangeTblEntry* entry, Bitmapset* updated) {
#if PG_VERSION_NUM >= 180000
  List* permissions = NIL;
  addRTEPermissionInfo(&permissions, entry)->updatedCols = updated;
  ExecInitRangeTable(estate, list_make1(entry), permissions, bms_make_singleton(1));
#elif PG_VERSION_NUM >= 160000
  List* permissions = NIL;
  addRTEPermissionInfo(&permissions, entry)->updatedCols = updated;
  ExecInitRangeTable(estate, list_make1(entry), permissions);
#else
  entry->updatedCols = updated;
  ExecInitRangeTable(estate, list_make1(entry));
#endif
}

/// EvalPlanQualInit without a plan.
inline void eval_plan_qual_init(EPQState* epq, EState* estate) {
#if PG_VERSION_NUM >= 160000
  EvalPlanQualInit(epq, estate, nullptr, NIL, -1, NIL);
#else
  EvalPlanQualInit(epq, estate, nullptr, NIL, -1);
#endif
}

/// What an ExecutorRun hook passes on: 18 dropped the last argument.
#if PG_VERSION_NUM >= 180000
#define MERIDIAN_EXECUTOR_RUN_PARAMETERS QueryDesc *query, ScanDirection direction, uint64 count
#define MERIDIAN_EXECUTOR_RUN_ARGUMENTS query, direction, count
#else
#define MERIDIAN_EXECUTOR_RUN_PARAMETERS QueryDesc *query, ScanDirection direction, uint64 count, bool execute_once
#define MERIDIAN_EXECUTOR_RUN_ARGUMENTS query, direction, count, execute_once
#endif

// --- privileges ---------------------------------------------------------------------------------------------------

/// Whether `role` owns the table.
inline bool owns_table(Oid table, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(RelationRelationId, table, role);
#else
  return pg_class_ownercheck(table, role);
#endif
}

/// Whether `role` may execute the function.
inline bool may_execute(Oid function, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
#else
  return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

/// True if a subscription's apply worker acts as the owner of each table (16 and later), false if as its own owner.
inline constexpr bool apply_runs_as_table_owner = PG_VERSION_NUM >= 160000;

// --- replication --------------------------------------------------------------------------------------------------

/// A tuple inside a ReorderBufferChange: wrapped in a ReorderBufferTupleBuf before 17.
#if PG_VERSION_NUM >= 170000
using ReorderTuple = HeapTuple;
inline HeapTuple heap_tuple_of(ReorderTuple tuple) { return tuple; }
#else
using ReorderTuple = ReorderBufferTupleBuf*;
inline HeapTuple heap_tuple_of(ReorderTuple tuple) { return tuple == nullptr ? nullptr : &tuple->tuple; }
#endif

/// Puts a tuple of our own into a copied change. `holder` must outlive the use of the change.
#if PG_VERSION_NUM >= 170000
struct ReorderTupleHolder {};
inline ReorderTuple hold_tuple(ReorderTupleHolder&, HeapTuple tuple) { return tuple; }
#else
using ReorderTupleHolder = ReorderBufferTupleBuf;
inline ReorderTuple hold_tuple(ReorderTupleHolder& holder, HeapTuple tuple) {
  holder.tuple = *tuple;
  return &holder;
}
#endif

/// Makes this session replay as `origin`.
inline void replorigin_session_setup(RepOriginId origin) {
#if PG_VERSION_NUM >= 160000
  ::replorigin_session_setup(origin, 0);
#else
  ::replorigin_session_setup(origin);
#endif
}

/// Acquires a slot; errors if it is in use (and `nowait`) or invalidated.
inline void replication_slot_acquire(const char* name, bool nowait) {
#if PG_VERSION_NUM >= 180000
  ReplicationSlotAcquire(name, nowait, true);
#else
  ReplicationSlotAcquire(name, nowait);
#endif
}

/// Whether the slot lost the WAL that it was to hold.
inline bool is_invalidated(const ReplicationSlotPersistentData& slot) {
#if PG_VERSION_NUM >= 160000
  return slot.invalidated != RS_INVAL_NONE;
#else
  return !XLogRecPtrIsInvalid(slot.invalidated_at);
#endif
}

// --- other processes ----------------------------------------------------------------------------------------------

/// Copies the application_name of a process; empty if it is gone.
inline void application_name_of(int pid, char (&name)[NAMEDATALEN]) {
  name[0] = '\0';
  const int count = pgstat_fetch_stat_numbackends();
  for (int i = 1; i <= count; ++i) {
#if PG_VERSION_NUM >= 160000
    const LocalPgBackendStatus* const status = pgstat_get_local_beentry_by_index(i);
#else
    const LocalPgBackendStatus* const status = pgstat_fetch_stat_local_beentry(i);
#endif
    if (status == nullptr || status->backendStatus.st_procpid != pid) continue;
    strlcpy(name, status->backendStatus.st_appname, NAMEDATALEN);
  }
  pgstat_clear_backend_activity_snapshot();
}

// --- WAL ----------------------------------------------------------------------------------------------------------

/// XLogRegisterData: 18 takes const data.
inline void xlog_register_data(const void* data, uint32 length) {
#if PG_VERSION_NUM >= 180000
  XLogRegisterData(data, length);
#elif PG_VERSION_NUM >= 160000
  XLogRegisterData(static_cast<char*>(const_cast<void*>(data)), length);
#else
  XLogRegisterData(static_cast<char*>(const_cast<void*>(data)), static_cast<int>(length));
#endif
}

// --- waiting ------------------------------------------------------------------------------------------------------

/// A wait event shown in pg_stat_activity: by name from 17, else "Extension". Call once per process and keep the value.
inline uint32 wait_event(const char* name) {
#if PG_VERSION_NUM >= 170000
  return WaitEventExtensionNew(name);
#else
  (void)name;
  return PG_WAIT_EXTENSION;
#endif
}

/// A wait event set freed with the current transaction's resources from 17; the caller frees it in all versions.
inline WaitEventSet* create_wait_event_set(int events) {
#if PG_VERSION_NUM >= 170000
  return CreateWaitEventSet(CurrentResourceOwner, events);
#else
  return CreateWaitEventSet(CurrentMemoryContext, events);
#endif
}

/// True if some process waits for a heavyweight lock that this one holds. On a standby that is replay, which waits for
/// nobody else's lock: an access exclusive lock conflicts with every other, and only replay takes those.
inline bool delays_others() {
  bool found = false;
  for (int i = 0; i < NUM_LOCK_PARTITIONS && !found; ++i) {
    const auto delays = [](const PROCLOCK* held) { return held->holdMask != 0 && held->tag.myLock->waitMask != 0; };
    LWLock* const partition = LockHashPartitionLockByIndex(i);
    LWLockAcquire(partition, LW_SHARED);
#if PG_VERSION_NUM >= 160000
    // Not dlist_foreach: its type checks are C.
    const dlist_node* const locks = &MyProc->myProcLocks[i].head;
    for (const dlist_node* each = locks->next; each != nullptr && each != locks; each = each->next)
      found =
          found ||
          delays(reinterpret_cast<const PROCLOCK*>(reinterpret_cast<const char*>(each) - offsetof(PROCLOCK, procLink)));
#else
    const SHM_QUEUE* const locks = &MyProc->myProcLocks[i];
    const Pointer none = nullptr;
    for (Pointer each = SHMQueueNext(locks, locks, offsetof(PROCLOCK, procLink)); each != none;
         each = SHMQueueNext(locks, &reinterpret_cast<PROCLOCK*>(each)->procLink, offsetof(PROCLOCK, procLink)))
      found = found || delays(reinterpret_cast<PROCLOCK*>(each));
#endif
    LWLockRelease(partition);
  }
  return found;
}

/// Makes the running transaction another virtual one. On a standby, replay that met a session with an old snapshot
/// waits for the end of its virtual transaction, not of the snapshot (standby.c): a session that sleeps without a
/// snapshot must not be waited for. As StartTransaction() does it.
inline void renew_virtual_transaction() {
  VirtualTransactionId fresh;
  VirtualXactLockTableCleanup();
  fresh.localTransactionId = GetNextLocalTransactionId();
#if PG_VERSION_NUM >= 170000
  fresh.procNumber = MyProcNumber;
  VirtualXactLockTableInsert(fresh);
  MyProc->vxid.lxid = fresh.localTransactionId;
#else
  fresh.backendId = MyBackendId;
  VirtualXactLockTableInsert(fresh);
  MyProc->lxid = fresh.localTransactionId;
#endif
}

/// Sleeps until another record has been replayed, `timeout_ms` are over or the latch is set. False if this version, or
/// a server without walsenders, does not tell (16 and later do): then it has not slept.
inline bool sleep_until_replay([[maybe_unused]] long timeout_ms, [[maybe_unused]] uint32 event) {
#if PG_VERSION_NUM >= 160000
  if (max_wal_senders == 0) return false;
  ConditionVariablePrepareToSleep(&WalSndCtl->wal_replay_cv);
  ConditionVariableTimedSleep(&WalSndCtl->wal_replay_cv, timeout_ms, event);
  ConditionVariableCancelSleep();
  return true;
#else
  return false;
#endif
}

/// Memory for the `extra` of a setting's check hook, which PostgreSQL frees; null if there is none. For check hooks
/// only.
inline void* guc_allocate(Size size) {
#if PG_VERSION_NUM >= 160000
  return guc_malloc(LOG, size);
#else
  return std::malloc(size);
#endif
}

/// Frees such memory that PostgreSQL was not given.
inline void guc_release(void* memory) {
#if PG_VERSION_NUM >= 160000
  guc_free(memory);
#else
  std::free(memory);
#endif
}

/// Number of this backend in the process array, for arrays in shared memory: 0 .. MaxBackends - 1.
inline int backend_index() {
#if PG_VERSION_NUM >= 170000
  return MyProcNumber;
#else
  return MyProc->pgprocno;
#endif
}

/// LogLogicalMessage without a flush of its own (17 can flush as well). Takes no xid if not `transactional`.
inline XLogRecPtr log_logical_message(const char* prefix, const char* message, std::size_t size, bool transactional) {
#if PG_VERSION_NUM >= 170000
  return LogLogicalMessage(prefix, message, size, transactional, false);
#else
  return LogLogicalMessage(prefix, message, size, transactional);
#endif
}

}  // namespace meridian::pg::compat
