#include "pg/partition.hpp"

#include "pg/catalog.hpp"

namespace meridian::pg {
namespace {

// The partition, one level down, that takes the row; InvalidOid if there is none. As get_partition_for_tuple() of
// execPartition.c, for which a row that no partition takes is an error. A partition key is in the primary key: it is no
// expression, and not NULL. `row` has the columns of `row_relation`, which may be in another order.
Oid partition_of(Relation relation, Relation row_relation, const RowValues& row) {
  const PartitionKey key = RelationGetPartitionKey(relation);
  const PartitionDesc partitions = RelationGetPartitionDesc(relation, true);
  if (partitions->nparts == 0) return InvalidOid;
  Datum values[PARTITION_MAX_KEYS];
  bool nulls[PARTITION_MAX_KEYS] = {};
  for (int i = 0; i < key->partnatts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), key->partattrs[i] - 1);
    values[i] = row.values[get_attnum(RelationGetRelid(row_relation), NameStr(attribute->attname)) - 1];
  }
  const PartitionBoundInfo bounds = partitions->boundinfo;
  int index = -1;
  bool equal = false;
  switch (key->strategy) {
    case PARTITION_STRATEGY_HASH: {
      const std::uint64_t hash =
          compute_partition_hash_value(key->partnatts, key->partsupfunc, key->partcollation, values, nulls);
      index = bounds->indexes[hash % static_cast<std::uint64_t>(bounds->nindexes)];
      break;
    }
    case PARTITION_STRATEGY_LIST: {
      const int at = partition_list_bsearch(key->partsupfunc, key->partcollation, bounds, values[0], &equal);
      if (at >= 0 && equal) index = bounds->indexes[at];
      break;
    }
    case PARTITION_STRATEGY_RANGE: {
      const int at =
          partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, key->partnatts, values, &equal);
      index = bounds->indexes[at + 1];
      break;
    }
  }
  if (index < 0) index = bounds->default_index;
  return index < 0 ? InvalidOid : partitions->oids[index];
}

}  // namespace

Oid replicated_root(Relation relation) {
  const Oid own = RelationGetRelid(relation);
  if (!relation->rd_rel->relispartition) return own;
  Oid root = own;
  ListCell* cell = nullptr;
  List* ancestors = get_partition_ancestors(own);
  foreach (cell, ancestors) {
    if (find_table_id(lfirst_oid(cell)) != 0) root = lfirst_oid(cell);
  }
  return root;
}

Relation open_leaf(Relation root, const RowValues& row) {
  Relation relation = root;
  while (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) {
    const Oid partition = partition_of(relation, root, row);
    if (relation != root) table_close(relation, NoLock);
    if (!OidIsValid(partition)) return nullptr;
    relation = table_open(partition, RowExclusiveLock);
  }
  return relation;
}

bool leaves_partition(Relation relation, const RowValues& row) {
  if (!relation->rd_rel->relispartition) return false;
  Oid below = RelationGetRelid(relation);
  ListCell* cell = nullptr;
  List* ancestors = get_partition_ancestors(below);
  foreach (cell, ancestors) {
    Relation parent = table_open(lfirst_oid(cell), AccessShareLock);
    const Oid partition = partition_of(parent, relation, row);
    table_close(parent, NoLock);
    if (partition != below) return true;
    below = lfirst_oid(cell);
  }
  return false;
}

}  // namespace meridian::pg
