#include "pg/row_plan.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>
#include <vector>

#include "pg/catalog.hpp"
#include "pg/key_hash.hpp"
#include "pg/merge_function.hpp"
#include "pg/partition.hpp"
#include "pg/set_values.hpp"
#include "pg/support/compat.hpp"
#include "pg/types/columns.hpp"

namespace meridian::pg {
namespace {

struct PlanEntry {
  Oid relation;  // hash key
  RowPlan* plan;
};

HTAB* plans = nullptr;

// A plan of a partition also depends on its root, so that a change of one table may concern several plans.
bool partitions_planned = false;

void relation_changed(Datum, Oid relation) {
  if (plans == nullptr) return;
  if (OidIsValid(relation) && !partitions_planned) {
    auto* entry = static_cast<PlanEntry*>(hash_search(plans, &relation, HASH_FIND, nullptr));
    if (entry != nullptr && entry->plan != nullptr) entry->plan->stale = true;
    return;
  }
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, plans);
  while (auto* entry = static_cast<PlanEntry*>(hash_seq_search(&scan))) {
    if (entry->plan == nullptr) continue;
    const bool concerned = !OidIsValid(relation) || entry->relation == relation || entry->plan->relation == relation;
    if (concerned) entry->plan->stale = true;
  }
}

// A merge function may be another one now, or gone.
void function_changed(Datum, int, uint32) {
  if (plans == nullptr) return;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, plans);
  while (auto* entry = static_cast<PlanEntry*>(hash_seq_search(&scan))) {
    if (entry->plan != nullptr && entry->plan->has_merge_function) entry->plan->stale = true;
  }
}

const Trigger* find_trigger(Relation relation, const TriggerDesc* description) {
  const Trigger* found = nullptr;
  for (int i = 0; description != nullptr && i < description->numtriggers; ++i) {
    const Trigger* trigger = &description->triggers[i];
    if (trigger->tgisinternal || trigger->tgenabled == TRIGGER_DISABLED || !is_resolving_function(trigger->tgfoid))
      continue;
    if (found == nullptr || std::strcmp(trigger->tgname, apply_trigger_name) == 0) found = trigger;
  }
  if (found == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("table \"%s\" has no trigger of meridian", RelationGetRelationName(relation)),
                    errhint("Call meridian.replicate() for the table.")));
  }
  return found;
}

// The shape has a destructor; the context calls it.
void destroy_shape(void* shape) { static_cast<Shape*>(shape)->~Shape(); }

// Core lane: trigger arguments -> rules -> shape. Written through pointers so that the caller holds nothing with a
// destructor.
struct RuleColumn {
  const char* name;
  ColumnRule rule;
  std::uint16_t index;
  char schema[NAMEDATALEN];  ///< of a merge function, and its name
  char function[NAMEDATALEN];
};

std::uint16_t position(const boost::container::small_vector_base<Slot>& slots, Slot slot) {
  return static_cast<std::uint16_t>(std::lower_bound(slots.begin(), slots.end(), slot) - slots.begin());
}

std::size_t position(const std::vector<Bound>& bounds, Slot slot) {
  return static_cast<std::size_t>(std::ranges::find(bounds, slot, &Bound::slot) - bounds.begin());
}

std::uint16_t position(const Shape& shape, ColumnRule rule, Slot slot) {
  switch (rule) {
    case ColumnRule::lww:
    case ColumnRule::group:
      return position(shape.groups, slot);
    case ColumnRule::counter:
      return position(shape.counters, slot);
    case ColumnRule::bounded:
      return static_cast<std::uint16_t>(shape.counters.size() + position(shape.bounds, slot));
    case ColumnRule::set:
      return position(shape.sets, slot);
    default:
      return position(shape.lattices, slot);
  }
}

// Calls `each(column)` for every column with a rule, and returns the finished shape by placement into `memory`.
// `names` are the columns a rule may be about; the default group exists if one of them has no rule.
struct CompiledRules {
  Shape* shape;
  RuleColumn* columns;
  int column_count;
  char missing[NAMEDATALEN];  ///< a rule's column that the table does not have; empty if there is none
};

void compile_rules(const Trigger* trigger, const char* const* column_names, int name_count, void* shape_memory,
                   RuleColumn* columns_out, CompiledRules* out) {
  std::vector<std::string_view> texts(trigger->tgargs, trigger->tgargs + trigger->tgnargs);
  const TableRules rules = parse_rules(texts);
  int ruled = 0;
  for (int i = 0; i < name_count; ++i) {
    for (const ColumnRuleEntry& entry : rules.columns) ruled += entry.column == column_names[i];
  }
  // There is always a group: how the key is written (1.0 or 1.00) must follow some write.
  const bool grouped = std::any_of(rules.columns.begin(), rules.columns.end(), [](const ColumnRuleEntry& entry) {
    return entry.rule == ColumnRule::lww || entry.rule == ColumnRule::group;
  });
  out->shape = new (shape_memory) Shape(rules.shape(ruled < name_count || !grouped));
  out->columns = columns_out;
  out->column_count = 0;
  out->missing[0] = '\0';
  for (const ColumnRuleEntry& entry : rules.columns) {
    const int before = out->column_count;
    for (int i = 0; i < name_count; ++i) {
      if (entry.column != column_names[i]) continue;
      RuleColumn* column = &columns_out[out->column_count++];
      *column = {column_names[i], entry.rule, position(*out->shape, entry.rule, entry.slot), {}, {}};
      strlcpy(column->schema, entry.schema.c_str(), NAMEDATALEN);
      strlcpy(column->function, entry.function.c_str(), NAMEDATALEN);
    }
    if (out->column_count == before) strlcpy(out->missing, entry.column.c_str(), NAMEDATALEN);
  }
}

// The table may have been altered since its rules were checked.
void check_ruled_column(Relation relation, Form_pg_attribute attribute, ColumnRule rule) {
  const Oid type = getBaseType(attribute->atttypid);
  const bool number = type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID;
  const bool truth = rule == ColumnRule::logical_or || rule == ColumnRule::logical_and;
  const bool merges = rule != ColumnRule::typed || explicit_type(type) != TypeKind::none;
  const bool fits_set = rule != ColumnRule::set || is_set_type(type);
  const bool adds_up = rule == ColumnRule::counter || rule == ColumnRule::bounded;
  if ((!adds_up || number) && (!truth || type == BOOLOID) && merges && fits_set) return;
  ereport(ERROR,
          (errcode(ERRCODE_DATATYPE_MISMATCH),
           errmsg("column \"%s\" of table \"%s\" has type %s, which its rule does not fit", NameStr(attribute->attname),
                  RelationGetRelationName(relation), format_type_be(attribute->atttypid)),
           errhint("Change the type back, or call meridian.unreplicate() and meridian.replicate() for the table.")));
}

const char* describe_rules(const Trigger* trigger, RowMode mode) {
  if (mode == RowMode::timestamp) return psprintf("row=lww(%s)", trigger->tgargs[0]);
  StringInfoData text;
  initStringInfo(&text);
  for (int i = 0; i < trigger->tgnargs; ++i) appendStringInfo(&text, "%s%s", i > 0 ? ", " : "", trigger->tgargs[i]);
  return trigger->tgnargs > 0 ? text.data : "row=lww";
}

void plan_keys(Relation relation, RowPlan* plan) {
  plan->key_index = compat::relation_get_primary_key_index(relation);
  if (!OidIsValid(plan->key_index)) {
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("table \"%s\" has no primary key that is checked at once", RelationGetRelationName(relation)),
             errhint("Add a primary key that is not deferrable.")));
  }
  Relation index = index_open(plan->key_index, AccessShareLock);
  plan->key_count = IndexRelationGetNumberOfKeyAttributes(index);
  plan->keys = static_cast<KeyColumn*>(palloc0(sizeof(KeyColumn) * plan->key_count));
  for (int i = 0; i < plan->key_count; ++i) {
    KeyColumn* key = &plan->keys[i];
    key->attnum = index->rd_index->indkey.values[i];
    const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), key->attnum - 1);
    key->type = attribute->atttypid;
    key->collation = index->rd_indcollation[i];
    const Oid input = index->rd_opcintype[i];
    const Oid equals = get_opfamily_member(index->rd_opfamily[i], input, input, BTEqualStrategyNumber);
    key->equals = get_opcode(equals);
    fmgr_info_cxt(key->equals, &key->equals_info, plan->context);
    choose_key_hash(key->type, equals, plan->context, &key->hash);
    plan->columns[key->attnum - 1].is_key = true;
  }
  index_close(index, AccessShareLock);
}

void plan_columns(Relation relation, const Trigger* trigger, RowPlan* plan) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  plan->column_count = descriptor->natts;
  plan->columns = static_cast<ColumnPlan*>(palloc0(sizeof(ColumnPlan) * descriptor->natts));
  for (int i = 0; i < descriptor->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    ColumnPlan* column = &plan->columns[i];
    column->attnum = attribute->attnum;
    column->rule = ColumnRule::lww;
    column->is_varlena = attribute->attlen == -1;
    column->skip = attribute->attisdropped || attribute->attgenerated != '\0';
    if (attribute->attisdropped) continue;
    column->base_typmod = attribute->atttypmod;
    column->base_type = getBaseTypeAndTypmod(attribute->atttypid, &column->base_typmod);
    if (plan->mode == RowMode::state && attribute->atttypid == row_state_type() &&
        std::strcmp(NameStr(attribute->attname), state_column_name) == 0) {
      plan->state_attnum = attribute->attnum;
      column->skip = true;
    }
    if (plan->mode == RowMode::timestamp && std::strcmp(NameStr(attribute->attname), trigger->tgargs[0]) == 0) {
      plan->stamp_attnum = attribute->attnum;
      plan->stamp_type = attribute->atttypid;
    }
  }
}

void plan_rules(Relation relation, const Trigger* trigger, RowPlan* plan) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  auto** names = static_cast<const char**>(palloc(sizeof(char*) * descriptor->natts));
  int name_count = 0;
  for (int i = 0; i < descriptor->natts; ++i) {
    if (plan->columns[i].skip || plan->columns[i].is_key) continue;
    names[name_count++] = pstrdup(NameStr(TupleDescAttr(descriptor, i)->attname));
  }
  auto* columns = static_cast<RuleColumn*>(palloc(sizeof(RuleColumn) * (name_count + 1)));
  CompiledRules compiled;
  compile_rules(trigger, names, name_count, palloc(sizeof(Shape)), columns, &compiled);
  if (compiled.missing[0] != '\0') {
    compiled.shape->~Shape();
    ereport(
        ERROR,
        (errcode(ERRCODE_UNDEFINED_COLUMN),
         errmsg("table \"%s\" has no column \"%s\" for its rule", RelationGetRelationName(relation), compiled.missing),
         errhint("Rename the column back, or call meridian.unreplicate() and meridian.replicate() for the table.")));
  }
  auto* callback = static_cast<MemoryContextCallback*>(palloc0(sizeof(MemoryContextCallback)));
  callback->func = destroy_shape;
  callback->arg = compiled.shape;
  MemoryContextRegisterResetCallback(plan->context, callback);
  plan->shape = compiled.shape;
  plan->number_count = static_cast<int>(compiled.shape->counters.size() + compiled.shape->bounds.size());
  plan->number_attnums = static_cast<AttrNumber*>(palloc0(sizeof(AttrNumber) * (plan->number_count + 1)));
  plan->set_attnums = static_cast<AttrNumber*>(palloc0(sizeof(AttrNumber) * (compiled.shape->sets.size() + 1)));
  for (int i = 0; i < compiled.column_count; ++i) {
    const AttrNumber attnum = get_attnum(RelationGetRelid(relation), compiled.columns[i].name);
    ColumnPlan* column = &plan->columns[attnum - 1];
    check_ruled_column(relation, TupleDescAttr(descriptor, attnum - 1), compiled.columns[i].rule);
    column->rule = compiled.columns[i].rule;
    column->index = compiled.columns[i].index;
    if (column->rule == ColumnRule::typed) column->type_kind = explicit_type(column->base_type);
    if (column->rule == ColumnRule::counter || column->rule == ColumnRule::bounded)
      plan->number_attnums[column->index] = attnum;
    if (column->rule == ColumnRule::set) plan->set_attnums[column->index] = attnum;
    if (column->rule == ColumnRule::max || column->rule == ColumnRule::min) {
      const Oid type = TupleDescAttr(descriptor, attnum - 1)->atttypid;
      const TypeCacheEntry* cache = lookup_type_cache(type, TYPECACHE_LT_OPR);
      column->combine_less = static_cast<FmgrInfo*>(palloc0(sizeof(FmgrInfo)));
      fmgr_info_cxt(get_opcode(cache->lt_opr), column->combine_less, plan->context);
    }
    if (column->rule == ColumnRule::merge) {
      const RuleColumn& rule = compiled.columns[i];
      column->merge = prepare_merge_call(rule.schema, rule.function, column->base_type, plan->context);
      plan->has_merge_function = true;
    }
  }
}

void plan_triggers(const TriggerDesc* description, RowPlan* plan) {
  for (int i = 0; i < description->numtriggers; ++i) {
    const Trigger* trigger = &description->triggers[i];
    const bool fires = trigger->tgenabled == TRIGGER_FIRES_ALWAYS || trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA;
    if (!fires || !TRIGGER_FOR_ROW(trigger->tgtype) || is_resolving_function(trigger->tgfoid)) continue;
    plan->others_see_insert = plan->others_see_insert || TRIGGER_FOR_INSERT(trigger->tgtype);
    plan->others_see_update = plan->others_see_update || TRIGGER_FOR_UPDATE(trigger->tgtype);
    plan->others_see_delete = plan->others_see_delete || TRIGGER_FOR_DELETE(trigger->tgtype);
  }
}

void plan_required(Relation relation, RowPlan* plan) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  plan->required = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * (descriptor->natts + 1)));
  for (int i = 0; i < descriptor->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    const bool computed_when_read = attribute->attgenerated == 'v';  // never stored
    if (attribute->attnotnull && !computed_when_read) plan->required[plan->required_count++] = attribute->attnum;
  }
}

// What the table demands of a row beyond its types and its primary key.
void plan_demands(Relation relation, RowPlan* plan) {
  plan_required(relation, plan);
  const TupleConstr* constraints = RelationGetDescr(relation)->constr;
  plan->has_checks = constraints != nullptr && (constraints->num_check > 0 || constraints->has_generated_stored);
  plan->may_raise = plan->others_see_insert || plan->others_see_update || plan->others_see_delete;
  ListCell* cell = nullptr;
  foreach (cell, RelationGetIndexList(relation)) {
    Relation index = index_open(lfirst_oid(cell), AccessShareLock);
    const bool computed = !heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, nullptr) ||
                          !heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr);
    plan->may_raise = plan->may_raise || computed || index->rd_index->indisexclusion;
    const bool secondary = RelationGetRelid(index) != plan->key_index;
    plan->has_unique_key = plan->has_unique_key || (secondary && index->rd_index->indisunique);
    index_close(index, AccessShareLock);
  }
}

Oid owner_of(Oid table) {
  const HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for relation %u", table);
  const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
  ReleaseSysCache(tuple);
  return owner;
}

RowPlan* build_plan(Relation relation) {
  // Below the caller's context until it is complete: an error must not leave half a plan in the cache.
  MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "meridian row plan", ALLOCSET_SMALL_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(context);
  auto* plan = static_cast<RowPlan*>(palloc0(sizeof(RowPlan)));
  plan->relation = replicated_root(relation);
  partitions_planned = partitions_planned || plan->relation != RelationGetRelid(relation);
  plan->context = context;
  // A copy: reading catalogs may rebuild the relation's.
  const TriggerDesc* triggers = CopyTriggerDesc(relation->trigdesc);
  const Trigger* trigger = find_trigger(relation, triggers);
  plan->mode = is_lww_function(trigger->tgfoid) ? RowMode::timestamp : RowMode::state;
  if (plan->mode == RowMode::timestamp && trigger->tgnargs != 1) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("meridian.lww() takes one argument, the timestamp column"),
                    errhint("For example: EXECUTE FUNCTION meridian.lww('updated_at').")));
  }
  plan->rule_text = describe_rules(trigger, plan->mode);
  plan->owner = owner_of(plan->relation);
  plan_columns(relation, trigger, plan);
  plan_keys(relation, plan);
  if (plan->mode == RowMode::state) {
    plan_rules(relation, trigger, plan);
    if (plan->state_attnum == InvalidAttrNumber) {
      ereport(ERROR,
              (errcode(ERRCODE_UNDEFINED_COLUMN),
               errmsg("table \"%s\" has no column \"%s\"", RelationGetRelationName(relation), state_column_name),
               errhint("Call meridian.replicate() for the table, or add the column with type meridian.row_state.")));
    }
  }
  if (plan->mode == RowMode::timestamp && plan->stamp_type != TIMESTAMPTZOID && plan->stamp_type != TIMESTAMPOID) {
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("column \"%s\" of table \"%s\" is not a timestamp", trigger->tgargs[0],
                           RelationGetRelationName(relation)),
                    errhint("meridian.lww() needs a column of type timestamptz or timestamp.")));
  }
  plan_triggers(triggers, plan);
  plan_demands(relation, plan);
  plan->table_id = find_table_id(plan->relation);
  MemoryContextSwitchTo(caller);
  MemoryContextSetParent(context, CacheMemoryContext);
  return plan;
}

// Plans of dropped tables, which no later look-up would find.
void forget_dropped_tables() {
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, plans);
  while (auto* entry = static_cast<PlanEntry*>(hash_seq_search(&scan))) {
    if (entry->plan == nullptr || !entry->plan->stale) continue;
    if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(entry->relation))) continue;
    MemoryContextSetParent(entry->plan->context, TopTransactionContext);
    hash_search(plans, &entry->relation, HASH_REMOVE, nullptr);
  }
}

void retire(RowPlan* plan) { MemoryContextSetParent(plan->context, TopTransactionContext); }

}  // namespace

RowPlan* row_plan(Relation relation) {
  if (plans == nullptr) {
    HASHCTL control{};
    control.keysize = sizeof(Oid);
    control.entrysize = sizeof(PlanEntry);
    plans = hash_create("meridian row plans", 64, &control, HASH_ELEM | HASH_BLOBS);
  }
  const Oid key = RelationGetRelid(relation);
  bool found = false;
  auto* entry = static_cast<PlanEntry*>(hash_search(plans, &key, HASH_ENTER, &found));
  if (!found) entry->plan = nullptr;
  if (entry->plan != nullptr && !entry->plan->stale) return entry->plan;
  RowPlan* plan = build_plan(relation);
  constexpr long many = 256;
  if (hash_get_num_entries(plans) > many) forget_dropped_tables();
  // Building read catalogs, which may have run invalidations that moved the table's entry.
  entry = static_cast<PlanEntry*>(hash_search(plans, &key, HASH_FIND, nullptr));
  if (entry->plan != nullptr) retire(entry->plan);
  entry->plan = plan;
  return plan;
}

void register_plan_callbacks() {
  CacheRegisterRelcacheCallback(relation_changed, static_cast<Datum>(0));
  CacheRegisterSyscacheCallback(PROCOID, function_changed, static_cast<Datum>(0));
  CacheRegisterSyscacheCallback(NAMESPACEOID, function_changed, static_cast<Datum>(0));
}

}  // namespace meridian::pg
