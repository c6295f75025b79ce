#include "pg/unique_keys.hpp"

#include "pg/support/compat.hpp"

namespace meridian::pg {
namespace {

struct WantedKey {
  Datum values[INDEX_MAX_KEYS];
  bool nulls[INDEX_MAX_KEYS];
};

// False if the row is not in the index, or has a NULL that makes it equal to no other.
bool wanted_key(const IndexInfo* info, EState* estate, TupleTableSlot* row, WantedKey* key) {
  ExprContext* context = GetPerTupleExprContext(estate);
  context->ecxt_scantuple = row;
  if (info->ii_Predicate != NIL) {
    ExprState* predicate = ExecPrepareQual(info->ii_Predicate, estate);
    if (!ExecQual(predicate, context)) return false;
  }
  FormIndexDatum(const_cast<IndexInfo*>(info), row, estate, key->values, key->nulls);
  if (info->ii_NullsNotDistinct) return true;
  return std::none_of(key->nulls, key->nulls + info->ii_NumIndexKeyAttrs, [](bool is_null) { return is_null; });
}

void make_scan_keys(Relation index, const IndexInfo* info, const WantedKey& key, ScanKeyData* scan_keys) {
  for (int i = 0; i < info->ii_NumIndexKeyAttrs; ++i) {
    ScanKeyEntryInitialize(&scan_keys[i], key.nulls[i] ? SK_ISNULL | SK_SEARCHNULL : 0, static_cast<AttrNumber>(i + 1),
                           info->ii_UniqueStrats[i], InvalidOid, index->rd_indcollation[i], info->ii_UniqueProcs[i],
                           key.values[i]);
  }
}

bool same_primary_key(const RowPlan* plan, TupleTableSlot* left, TupleTableSlot* right) {
  return same_key(plan, deform(plan, left), deform(plan, right));
}

// Whom a look at the index has to wait for before its answer counts.
struct Writer {
  TransactionId xid;
  uint32 speculative_token;
  ItemPointerData tid;
};

// One look, with a dirty snapshot, so that a row that is being written is seen as well.
bool look(RowWriter* writer, Relation index, ScanKeyData* scan_keys, int key_count, TupleTableSlot* row,
          TupleTableSlot* holder, Writer* wait_for) {
  SnapshotData dirty;
  InitDirtySnapshot(dirty);
  IndexScanDesc scan = compat::index_beginscan(writer->relation, index, &dirty, key_count, 0);
  index_rescan(scan, scan_keys, key_count, nullptr, 0);
  bool found = false;
  while (!found && index_getnext_slot(scan, ForwardScanDirection, holder)) {
    if (same_primary_key(writer->plan, holder, row)) continue;  // a version of the row itself
    wait_for->xid = TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;
    wait_for->speculative_token = TransactionIdIsValid(dirty.xmin) ? dirty.speculativeToken : 0;
    wait_for->tid = holder->tts_tid;
    found = true;
  }
  if (found) ExecMaterializeSlot(holder);
  index_endscan(scan);
  return found;
}

}  // namespace

bool is_secondary_unique(const RowPlan* plan, const ResultRelInfo* target, int i) {
  const IndexInfo* info = target->ri_IndexRelationInfo[i];
  return info->ii_Unique && info->ii_ExclusionOps == nullptr && info->ii_ReadyForInserts &&
         RelationGetRelid(target->ri_IndexRelationDescs[i]) != plan->key_index;
}

bool asks_for_another_key(const ResultRelInfo* target, int i, TupleTableSlot* before, TupleTableSlot* after) {
  const IndexInfo* info = target->ri_IndexRelationInfo[i];
  if (info->ii_Expressions != NIL || info->ii_Predicate != NIL) return true;
  const TupleDesc descriptor = RelationGetDescr(target->ri_RelationDesc);
  for (int k = 0; k < info->ii_NumIndexKeyAttrs; ++k) {
    const AttrNumber column = info->ii_IndexAttrNumbers[k];
    bool was_null = false;
    bool is_null = false;
    const Datum was = slot_getattr(before, column, &was_null);
    const Datum now = slot_getattr(after, column, &is_null);
    if (was_null != is_null) return true;
    const Form_pg_attribute attribute = TupleDescAttr(descriptor, column - 1);
    if (!is_null && !datum_image_eq(was, now, attribute->attbyval, attribute->attlen)) return true;
  }
  return false;
}

bool find_holder(RowWriter* writer, int i, TupleTableSlot* row, TupleTableSlot* holder) {
  const ResultRelInfo* target = open_indexes(writer);
  Relation index = target->ri_IndexRelationDescs[i];
  const IndexInfo* info = target->ri_IndexRelationInfo[i];
  WantedKey key;
  if (!wanted_key(info, writer->estate, row, &key)) return false;
  ScanKeyData scan_keys[INDEX_MAX_KEYS];
  make_scan_keys(index, info, key, scan_keys);
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    Writer other{};
    if (!look(writer, index, scan_keys, info->ii_NumIndexKeyAttrs, row, holder, &other)) return false;
    if (!TransactionIdIsValid(other.xid)) return true;
    ExecClearTuple(holder);
    if (other.speculative_token != 0) {
      SpeculativeInsertionWait(other.xid, other.speculative_token);
    } else {
      XactLockTableWait(other.xid, writer->relation, &other.tid, XLTW_InsertIndex);
    }
  }
}

bool keeps_unique_key(Relation relation, const RowPlan* plan, const RowValues& mine, const RowValues& other) {
  if (plan->mode == RowMode::state) {
    const Hlc my_birth = largest_birth(*plan->shape, read_image(relation, plan, mine));
    const Hlc other_birth = largest_birth(*plan->shape, read_image(relation, plan, other));
    if (my_birth != other_birth) return my_birth < other_birth;
  }
  for (int k = 0; k < plan->key_count; ++k) {
    const int order = compare_portably(relation, plan->keys[k].attnum, mine, other);
    if (order != 0) return order < 0;
  }
  return true;
}

}  // namespace meridian::pg
