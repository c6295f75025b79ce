#include "plugin/cdc_plan.hpp"

#include "core/cdc_json.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"

namespace meridian::pg {
namespace {

constexpr const char* state_column_name = "_meridian";

/// Key columns of an index, as places in the table. False if the index cannot be a key.
bool places_of_index(Oid index_id, int* places, int* count) {
  Relation index = RelationIdGetRelation(index_id);
  if (index == nullptr) return false;
  const Form_pg_index form = index->rd_index;
  bool usable = form->indisunique && form->indisvalid && form->indislive &&
                heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr);
  *count = 0;
  for (int i = 0; usable && i < IndexRelationGetNumberOfKeyAttributes(index); ++i) {
    const AttrNumber column = form->indkey.values[i];
    usable = column > 0;
    if (usable) places[(*count)++] = column - 1;
  }
  RelationClose(index);
  return usable && *count > 0;
}

/// The identity index if one was named; else the primary key; else the first unique index; else none.
int find_key(Relation relation, int* places) {
  int count = 0;
  List* indexes = RelationGetIndexList(relation);  // sets rd_replidindex
  if (relation->rd_rel->relreplident == REPLICA_IDENTITY_INDEX && OidIsValid(relation->rd_replidindex) &&
      places_of_index(relation->rd_replidindex, places, &count)) {
    return count;
  }
  const Oid primary_key = compat::relation_get_primary_key_index(relation);
  if (OidIsValid(primary_key) && places_of_index(primary_key, places, &count)) return count;
  for (int i = 0; i < list_length(indexes); ++i) {
    if (places_of_index(list_nth_oid(indexes, i), places, &count)) return count;
  }
  return 0;
}

/// The table whose name events bear: the topmost partitioned one, if so wanted.
Oid shown_table(Relation relation, const cdc::Options& options) {
  if (!options.partition_root || !relation->rd_rel->relispartition) return RelationGetRelid(relation);
  List* ancestors = get_partition_ancestors(RelationGetRelid(relation));
  return ancestors == NIL ? RelationGetRelid(relation) : llast_oid(ancestors);
}

/// The default of a column if it is a literal.
bool literal_default(Relation relation, int place, Datum* value) {
  const TupleConstr* constraints = RelationGetDescr(relation)->constr;
  for (int i = 0; constraints != nullptr && i < constraints->num_defval; ++i) {
    if (constraints->defval[i].adnum != place + 1) continue;
    Node* node = eval_const_expressions(nullptr, static_cast<Node*>(stringToNode(constraints->defval[i].adbin)));
    if (!IsA(node, Const) || reinterpret_cast<Const*>(node)->constisnull) return false;
    *value = reinterpret_cast<Const*>(node)->constvalue;
    return true;
  }
  return false;
}

void plan_default(Relation relation, int place, const cdc::Options& options, cdc::Buffer& scratch, Plan* plan) {
  Datum value{};
  if (!literal_default(relation, place, &value)) return;
  scratch.clear();
  write_value(scratch, plan->columns[place].reader, options.modes, value);
  cdc::set_default(*plan->table, place, scratch.view(), options);
}

[[noreturn]] void refuse_filter(Relation relation, const char* column) {
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                  errmsg("row filter of table \"%s\" names column \"%s\", which it does not have",
                         RelationGetRelationName(relation), column),
                  errhint("Change option row_filter of the stream.")));
  pg_unreachable();
}

void plan_condition(Relation relation, const cdc::Condition& condition, Plan* plan) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  int place = 0;
  while (place < descriptor->natts && (TupleDescAttr(descriptor, place)->attisdropped ||
                                       condition.column != NameStr(TupleDescAttr(descriptor, place)->attname))) {
    ++place;
  }
  if (place == descriptor->natts) refuse_filter(relation, condition.column.c_str());
  const FormData_pg_attribute* attribute = TupleDescAttr(descriptor, place);
  PlannedCondition* planned = &plan->conditions[plan->condition_count];
  planned->column = place;
  planned->op = condition.op;
  planned->collation = attribute->attcollation;
  if (condition.op != cdc::Condition::Operator::is_null && condition.op != cdc::Condition::Operator::is_not_null) {
    const TypeCacheEntry* type = lookup_type_cache(attribute->atttypid, TYPECACHE_CMP_PROC);
    if (!OidIsValid(type->cmp_proc)) {
      ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                      errmsg("values of column \"%s\" of table \"%s\" cannot be compared", NameStr(attribute->attname),
                             RelationGetRelationName(relation)),
                      errhint("Change option row_filter of the stream.")));
    }
    fmgr_info_cxt(type->cmp_proc, &planned->compare, plan->context);
    Oid input = InvalidOid;
    Oid parameter = InvalidOid;
    getTypeInputInfo(attribute->atttypid, &input, &parameter);
    planned->literal = OidInputFunctionCall(input, pstrdup(condition.literal.c_str()), parameter, attribute->atttypmod);
  }
  ++plan->condition_count;
}

void plan_filters(Relation relation, const char* schema, const char* name, const cdc::Options& options, Plan* plan) {
  std::size_t count = 0;
  for (const cdc::RowFilter& filter : options.row_filters) count += filter.conditions.size();
  if (count == 0) return;
  plan->conditions = static_cast<PlannedCondition*>(palloc0(sizeof(PlannedCondition) * count));
  for (const cdc::RowFilter& filter : options.row_filters) {
    if (!filter.table.matches_table(schema, name)) continue;
    for (const cdc::Condition& condition : filter.conditions) plan_condition(relation, condition, plan);
  }
}

void describe_columns(Relation relation, Plan* plan, cdc::ColumnSpec* specs) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  Bitmapset* identity = RelationGetIdentityKeyBitmap(relation);
  for (int i = 0; i < descriptor->natts; ++i) {
    const FormData_pg_attribute* attribute = TupleDescAttr(descriptor, i);
    cdc::ColumnSpec* spec = new (&specs[i]) cdc::ColumnSpec{};
    // A virtual generated column (PostgreSQL 18) has no value in a tuple.
    spec->is_dropped = attribute->attisdropped || attribute->attgenerated == 'v';
    if (spec->is_dropped) continue;
    PlannedColumn* column = &plan->columns[i];
    column->type = attribute->atttypid;
    column->is_in_identity = plan->has_old_rows || bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, identity);
    prepare_reader(attribute->atttypid, attribute->atttypmod, plan->context, &column->reader);
    spec->name = NameStr(attribute->attname);
    spec->is_state = spec->name == state_column_name;
    if (spec->is_state) column->reader.type.kind = cdc::Kind::text;  // its text says all (docs/row_state_format.md)
    spec->type = column->reader.type;
    spec->is_nullable = !attribute->attnotnull;
    spec->is_generated = attribute->attgenerated != '\0';
  }
}

}  // namespace

void make_plan(Relation relation, const cdc::Options& options, MemoryContext parent, cdc::Buffer& scratch, Plan* plan) {
  if (plan->context == nullptr) {
    plan->context = AllocSetContextCreate(parent, "meridian_cdc table", ALLOCSET_SMALL_SIZES);
  } else {
    MemoryContextReset(plan->context);
  }
  const MemoryContext caller = MemoryContextSwitchTo(plan->context);
  // Before the catalog is read: an invalidation that comes meanwhile must not be lost.
  plan->is_valid = true;
  plan->condition_count = 0;
  plan->column_count = RelationGetDescr(relation)->natts;
  plan->has_old_rows = relation->rd_rel->relreplident == REPLICA_IDENTITY_FULL;
  const Oid shown = shown_table(relation, options);
  const char* name = get_rel_name(shown);
  const char* schema = get_namespace_name(get_rel_namespace(shown));
  plan->is_wanted =
      name != nullptr && schema != nullptr && std::strcmp(schema, "meridian") != 0 && options.wants_table(schema, name);
  if (plan->is_wanted) {
    const auto size = static_cast<std::size_t>(plan->column_count);
    plan->columns = static_cast<PlannedColumn*>(palloc0(sizeof(PlannedColumn) * size));
    auto* specs = static_cast<cdc::ColumnSpec*>(palloc0(sizeof(cdc::ColumnSpec) * size));
    describe_columns(relation, plan, specs);
    int places[INDEX_MAX_KEYS];
    const int key_size = find_key(relation, places);
    const int* key = places;
    guarded([=, &options] {
      const cdc::TableSpec spec{schema, name, {specs, size}, {key, static_cast<std::size_t>(key_size)}};
      plan->table = std::make_unique<cdc::Table>(cdc::make_table(spec, options));
    });
    for (int i = 0; i < plan->column_count; ++i) {
      if (!specs[i].is_dropped && !specs[i].is_nullable) plan_default(relation, i, options, scratch, plan);
    }
    plan_filters(relation, schema, name, options, plan);
  }
  MemoryContextSwitchTo(caller);
}

bool passes_filter(const Plan& plan, const Row& row, bool is_old, const Row* other) {
  using Operator = cdc::Condition::Operator;
  for (int i = 0; i < plan.condition_count; ++i) {
    const PlannedCondition& condition = plan.conditions[i];
    const PlannedColumn& column = plan.columns[condition.column];
    if (is_old && !column.is_in_identity) continue;
    bool is_null = row.nulls[condition.column];
    Datum value = row.values[condition.column];
    if (!is_null && is_unlogged(column.reader.is_varlena, value)) {
      if (other == nullptr || other->nulls[condition.column]) continue;
      value = other->values[condition.column];
      if (is_unlogged(column.reader.is_varlena, value)) continue;
    }
    if (condition.op == Operator::is_null || condition.op == Operator::is_not_null) {
      if (is_null != (condition.op == Operator::is_null)) return false;
      continue;
    }
    if (is_null) return false;
    const Datum compared =
        FunctionCall2Coll(const_cast<FmgrInfo*>(&condition.compare), condition.collation, value, condition.literal);
    if (!cdc::passes(condition.op, DatumGetInt32(compared))) return false;
  }
  return true;
}

}  // namespace meridian::pg
