// meridian.canonical_rules(): does each rule fit the table? Asked on every node before anything is changed anywhere.
#include "core/rules.hpp"
#include "pg/catalog.hpp"
#include "pg/identity.hpp"
#include "pg/merge_function.hpp"
#include "pg/row_plan.hpp"
#include "pg/set_values.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"
#include "pg/types/columns.hpp"

namespace meridian::pg {
namespace {

// The rules of the current call. Process-lifetime storage, so that an error raised while they are checked leaves
// nothing behind.
struct Parsed {
  TableRules rules;
  std::vector<std::string> texts;
  std::string min;  ///< of the bounded column that is being checked
  std::string max;
};

Parsed* parsed = nullptr;

void parse(const char* const* texts, int count, const char* const* typed, int typed_count) {
  if (parsed == nullptr) parsed = new Parsed;
  std::vector<std::string_view> views(texts, texts + count);
  std::vector<std::string_view> columns(typed, typed + typed_count);
  std::ranges::sort(columns);  // the order of columns may differ between nodes
  parsed->rules = parse_rules(views, columns);
  parsed->texts = parsed->rules.to_text();
}

// Rights of rows from before replication belong to who first gave the table its rule: `texts` are the rules that it has
// already, `self` the member that asks.
void set_holders(const char* const* texts, int count, Actor self) {
  const std::vector<std::string_view> views(texts, texts + count);
  const TableRules before = parse_rules(views);
  for (ColumnRuleEntry& entry : parsed->rules.columns) {
    if (entry.rule != ColumnRule::bounded || entry.bound.holder != nobody) continue;
    const auto known = std::ranges::find(before.columns, entry.column, &ColumnRuleEntry::column);
    const bool was_bounded = known != before.columns.end() && known->rule == ColumnRule::bounded;
    entry.bound.holder = was_bounded ? known->bound.holder : self;
  }
  parsed->texts = parsed->rules.to_text();
}

bool has_bounded_column() {
  return std::ranges::any_of(parsed->rules.columns,
                             [](const ColumnRuleEntry& entry) { return entry.rule == ColumnRule::bounded; });
}

[[noreturn]] void refuse(int code, const char* message, const char* hint) {
  ereport(ERROR, (errcode(code), errmsg("%s", message), errhint("%s", hint)));
  pg_unreachable();
}

bool in_check_constraint_of(Relation relation, AttrNumber column) {
  const TupleConstr* constraints = RelationGetDescr(relation)->constr;
  for (int i = 0; constraints != nullptr && i < constraints->num_check; ++i) {
    Bitmapset* columns = nullptr;
    pull_varattnos(static_cast<Node*>(stringToNode(constraints->check[i].ccbin)), 1, &columns);
    const bool whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, columns);
    if (whole_row || bms_is_member(column - FirstLowInvalidHeapAttributeNumber, columns)) return true;
  }
  return false;
}

// A partition may check more than its root does.
bool in_check_constraint(Relation relation, const char* name) {
  ListCell* cell = nullptr;
  List* relations = find_all_inheritors(RelationGetRelid(relation), AccessShareLock, nullptr);
  foreach (cell, relations) {
    Relation one = table_open(lfirst_oid(cell), NoLock);
    const bool found = in_check_constraint_of(one, get_attnum(RelationGetRelid(one), name));
    table_close(one, NoLock);
    if (found) return true;
  }
  return false;
}

bool is_key_column(Relation relation, AttrNumber column) {
  const Bitmapset* key = RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY);
  return bms_is_member(column - FirstLowInvalidHeapAttributeNumber, key);
}

// Columns of the explicit types, which merge by their type unless a rule says otherwise.
int find_typed_columns(Relation relation, const char** names) {
  int count = 0;
  for (int i = 0; i < RelationGetNumberOfAttributes(relation); ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), i);
    if (attribute->attisdropped || attribute->attgenerated != '\0' || is_key_column(relation, attribute->attnum) ||
        explicit_type(attribute->atttypid) == TypeKind::none)
      continue;
    names[count++] = pstrdup(NameStr(attribute->attname));
  }
  return count;
}

Form_pg_attribute find_column(Relation relation, const char* name) {
  const AttrNumber column = get_attnum(RelationGetRelid(relation), name);
  if (column <= 0) {
    refuse(ERRCODE_UNDEFINED_COLUMN,
           psprintf("column \"%s\" of table \"%s\" does not exist", name, RelationGetRelationName(relation)),
           "Name a column of the table.");
  }
  const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), column - 1);
  if (attribute->attgenerated != '\0') {
    refuse(ERRCODE_FEATURE_NOT_SUPPORTED, psprintf("column \"%s\" is generated and cannot have a rule", name),
           "Every node computes generated columns itself; leave the column out of the rules.");
  }
  return attribute;
}

void check_typed(Relation relation, Form_pg_attribute attribute) {
  const char* name = NameStr(attribute->attname);
  if (explicit_type(attribute->atttypid) == TypeKind::none) {
    refuse(
        ERRCODE_DATATYPE_MISMATCH,
        psprintf("column \"%s\" has type %s, which has no merge of its own", name, format_type_be(attribute->atttypid)),
        "Rule type is for columns of type meridian.counter, gset, orset, flag or mvreg. Choose another rule.");
  }
  if (in_check_constraint(relation, name) || DomainHasConstraints(attribute->atttypid)) {
    refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
           psprintf("column \"%s\" merges by its type and cannot have a constraint", name),
           "What concurrent changes make together may break the constraint on every node. Drop the constraint, or keep "
           "the column last-writer-wins.");
  }
}

void check_counter(Relation relation, Form_pg_attribute attribute) {
  const char* name = NameStr(attribute->attname);
  const Oid type = getBaseType(attribute->atttypid);
  if (type != INT2OID && type != INT4OID && type != INT8OID && type != NUMERICOID) {
    refuse(ERRCODE_DATATYPE_MISMATCH,
           psprintf("column \"%s\" has type %s and cannot be a counter", name, format_type_be(attribute->atttypid)),
           "Counters are smallint, integer, bigint or numeric columns.");
  }
  if (in_check_constraint(relation, name)) {
    refuse(
        ERRCODE_FEATURE_NOT_SUPPORTED, psprintf("column \"%s\" is in a CHECK constraint and cannot be a counter", name),
        "Concurrent changes add up, so their sum may break the constraint on every node. Rule bounded(<min>[,<max>]) "
        "keeps a number within bounds; or drop the constraint.");
  }
  if (DomainHasConstraints(attribute->atttypid)) {
    refuse(
        ERRCODE_FEATURE_NOT_SUPPORTED,
        psprintf("column \"%s\" has domain %s with constraints and cannot be a counter", name,
                 format_type_be(attribute->atttypid)),
        "Concurrent changes add up, so their sum may break the constraint on every node. Use the domain's base type.");
  }
}

// What the rule's bounds are as values of the column; raises if they are none.
Datum bound_as_value(Form_pg_attribute attribute, const char* text) {
  Oid input = InvalidOid;
  Oid parameter = InvalidOid;
  getTypeInputInfo(attribute->atttypid, &input, &parameter);
  return OidInputFunctionCall(input, pstrdup(text), parameter, attribute->atttypmod);
}

// A row that is out of bounds already would have rights below zero.
void check_bounded_rows(Relation relation, const char* name, const char* min, const char* max) {
  const char* column = quote_identifier(name);
  StringInfoData query;
  initStringInfo(&query);
  appendStringInfo(
      &query, "SELECT FROM %s WHERE %s IS NULL OR %s OPERATOR(pg_catalog.<) %s",
      quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)), RelationGetRelationName(relation)),
      column, column, quote_literal_cstr(min));
  if (max != nullptr) appendStringInfo(&query, " OR %s OPERATOR(pg_catalog.>) %s", column, quote_literal_cstr(max));
  SPI_connect();
  const int outcome = SPI_execute(query.data, true, 1);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(outcome));
  const bool found = SPI_processed > 0;
  SPI_finish();
  if (!found) return;
  refuse(ERRCODE_CHECK_VIOLATION,
         psprintf("column \"%s\" of table \"%s\" holds values outside its bounds, or NULLs", name,
                  RelationGetRelationName(relation)),
         "Bring the rows within the bounds first, on every node.");
}

void check_bounded(Relation relation, Form_pg_attribute attribute, const char* min, const char* max) {
  const char* name = NameStr(attribute->attname);
  const Oid type = getBaseType(attribute->atttypid);
  if (type != INT2OID && type != INT4OID && type != INT8OID && type != NUMERICOID) {
    refuse(ERRCODE_DATATYPE_MISMATCH,
           psprintf("column \"%s\" has type %s and cannot be bounded", name, format_type_be(attribute->atttypid)),
           "Bounded columns are smallint, integer, bigint or numeric columns.");
  }
  if (DomainHasConstraints(attribute->atttypid)) {
    refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
           psprintf("column \"%s\" has domain %s with constraints and cannot be bounded", name,
                    format_type_be(attribute->atttypid)),
           "Give the limits to the rule, and use the domain's base type.");
  }
  bound_as_value(attribute, min);
  if (max != nullptr) bound_as_value(attribute, max);
  check_bounded_rows(relation, name, min, max);
}

void check_set(Form_pg_attribute attribute) {
  const char* name = NameStr(attribute->attname);
  if (!is_set_type(getBaseType(attribute->atttypid))) {
    refuse(ERRCODE_DATATYPE_MISMATCH,
           psprintf("column \"%s\" has type %s and cannot be a set", name, format_type_be(attribute->atttypid)),
           "Sets are arrays of text, varchar, smallint, integer, bigint or uuid, and jsonb objects.");
  }
  if (DomainHasConstraints(attribute->atttypid)) {
    refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
           psprintf("column \"%s\" has domain %s with constraints and cannot be a set", name,
                    format_type_be(attribute->atttypid)),
           "Elements that several nodes add unite, so the set may break the constraint on every node. Use the domain's "
           "base type.");
  }
}

void check_lattice(Form_pg_attribute attribute, ColumnRule rule) {
  const char* name = NameStr(attribute->attname);
  const bool boolean = rule == ColumnRule::logical_or || rule == ColumnRule::logical_and;
  if (boolean && getBaseType(attribute->atttypid) != BOOLOID) {
    refuse(
        ERRCODE_DATATYPE_MISMATCH,
        psprintf("column \"%s\" has type %s; rules or and and need boolean", name, format_type_be(attribute->atttypid)),
        "Use max or min for an ordered type.");
  }
  if (!boolean && !OidIsValid(lookup_type_cache(attribute->atttypid, TYPECACHE_LT_OPR)->lt_opr)) {
    refuse(ERRCODE_DATATYPE_MISMATCH,
           psprintf("column \"%s\" has type %s, which has no order", name, format_type_be(attribute->atttypid)),
           "Rules max and min need a type with a default btree operator class.");
  }
}

// Whatever the function returns must fit into the column, so that a merge can store it.
void check_merge_column(Form_pg_attribute attribute) {
  const char* name = NameStr(attribute->attname);
  std::int32_t modifier = attribute->atttypmod;
  getBaseTypeAndTypmod(attribute->atttypid, &modifier);
  if (modifier >= 0 || DomainHasConstraints(attribute->atttypid)) {
    refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
           psprintf("column \"%s\" has type %s, whose limits a merge function may break", name,
                    format_type_with_typemod(attribute->atttypid, attribute->atttypmod)),
           "Use the type without length or constraint.");
  }
}

void check_merge(Relation relation, Form_pg_attribute attribute, const char* schema, const char* name) {
  check_merge_column(attribute);
  const Oid type = getBaseType(attribute->atttypid);
  const MergeFunction function = find_merge_function(schema, name, type);
  const char* called =
      psprintf("%s(%s, %s)", quote_qualified_identifier(schema, name), format_type_be(type), format_type_be(type));
  const char* form = psprintf(
      "Create it on every node: %s or with two more arguments of type bigint for the stamps, "
      "RETURNS %s IMMUTABLE.",
      called, format_type_be(type));
  switch (function.problem) {
    case MergeProblem::none:
      break;
    case MergeProblem::missing:
      refuse(ERRCODE_UNDEFINED_FUNCTION, psprintf("function %s does not exist", called), form);
    case MergeProblem::wrong_result:
      refuse(ERRCODE_INVALID_FUNCTION_DEFINITION,
             psprintf("function %s returns %s, not %s", called, format_type_be(function.result), format_type_be(type)),
             form);
    case MergeProblem::not_immutable:
      refuse(ERRCODE_INVALID_FUNCTION_DEFINITION, psprintf("function %s is not immutable", called),
             "Every node must compute the same value from the same arguments: ALTER FUNCTION ... IMMUTABLE, if that is "
             "so.");
  }
  if (compat::may_execute(function.oid, relation->rd_rel->relowner)) return;
  refuse(ERRCODE_INSUFFICIENT_PRIVILEGE, psprintf("the owner of the table may not execute function %s", called),
         "Merges run as the table's owner: GRANT EXECUTE ON FUNCTION ... to that role.");
}

// Texts of a rule's bounds, for as long as the current call.
struct BoundTexts {
  const char* min;
  const char* max;
};

BoundTexts bound_texts(const ColumnRuleEntry& entry) {
  parsed->min = entry.bound.min.to_string();
  parsed->max = entry.bound.max ? entry.bound.max->to_string() : std::string();
  return {parsed->min.c_str(), entry.bound.max ? parsed->max.c_str() : nullptr};
}

void check_column(Relation relation, const ColumnRuleEntry& entry) {
  const char* name = entry.column.c_str();
  const ColumnRule rule = entry.rule;
  const Form_pg_attribute attribute = find_column(relation, name);
  if (is_key_column(relation, attribute->attnum)) {
    refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
           psprintf("column \"%s\" belongs to the primary key and cannot have a rule", name),
           "The key says which row it is; it does not merge.");
  }
  if (std::strcmp(name, state_column_name) == 0) {
    refuse(ERRCODE_RESERVED_NAME, psprintf("column \"%s\" is Meridian's own", name), "Name another column.");
  }
  if (rule == ColumnRule::counter) check_counter(relation, attribute);
  if (rule == ColumnRule::set) check_set(attribute);
  if (rule == ColumnRule::bounded) {
    const BoundTexts texts = bound_texts(entry);
    check_bounded(relation, attribute, texts.min, texts.max);
  }
  if (rule == ColumnRule::typed) check_typed(relation, attribute);
  if (rule == ColumnRule::merge) check_merge(relation, attribute, entry.schema.c_str(), entry.function.c_str());
  if (rule == ColumnRule::max || rule == ColumnRule::min || rule == ColumnRule::logical_or ||
      rule == ColumnRule::logical_and) {
    check_lattice(attribute, rule);
  }
}

void check_row_column(Relation relation, const char* name) {
  const Form_pg_attribute attribute = find_column(relation, name);
  if (attribute->atttypid == TIMESTAMPTZOID || attribute->atttypid == TIMESTAMPOID) return;
  refuse(ERRCODE_DATATYPE_MISMATCH,
         psprintf("column \"%s\" has type %s; lww() needs a timestamp", name, format_type_be(attribute->atttypid)),
         "Use a column of type timestamptz or timestamp.");
}

// The rules that the table's triggers have.
void find_holders(Relation relation) {
  if (!has_bounded_column()) return;
  const char* const* texts = nullptr;
  int count = 0;
  for (int i = 0; relation->trigdesc != nullptr && i < relation->trigdesc->numtriggers; ++i) {
    const Trigger* trigger = &relation->trigdesc->triggers[i];
    if (std::strcmp(trigger->tgname, apply_trigger_name) != 0 || is_lww_function(trigger->tgfoid)) continue;
    texts = const_cast<const char* const*>(trigger->tgargs);
    count = trigger->tgnargs;
  }
  set_holders(texts, count, is_member() ? local_actor() : nobody);
}

void check_rules(Relation relation) {
  const TableRules& rules = parsed->rules;
  for (std::size_t i = 0; i < rules.columns.size(); ++i) {
    check_column(relation, rules.columns[i]);
  }
  if (!rules.row_lww_column.empty()) check_row_column(relation, rules.row_lww_column.c_str());
}

}  // namespace
}  // namespace meridian::pg

MERIDIAN_FUNCTION(meridian_canonical_rules)
{
  using namespace meridian::pg;
  Datum* elements = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
  auto** texts = static_cast<const char**>(palloc(sizeof(char*) * (count + 1)));
  for (int i = 0; i < count; ++i) {
    if (nulls[i]) {
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a rule is NULL"),
                      errhint("Write rules as 'column=rule'.")));
    }
    texts[i] = TextDatumGetCString(elements[i]);
  }
  Relation relation = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
  if (relation == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", PG_GETARG_OID(0))));
  }
  auto** typed = static_cast<const char**>(palloc(sizeof(char*) * (RelationGetNumberOfAttributes(relation) + 1)));
  parse(texts, count, typed, find_typed_columns(relation, typed));
  find_holders(relation);
  check_rules(relation);
  relation_close(relation, AccessShareLock);
  const int rule_count = static_cast<int>(parsed->texts.size());
  auto* results = static_cast<Datum*>(palloc(sizeof(Datum) * (rule_count + 1)));
  for (int i = 0; i < rule_count; ++i) results[i] = CStringGetTextDatum(parsed->texts[i].c_str());
  PG_RETURN_ARRAYTYPE_P(construct_array(results, rule_count, TEXTOID, -1, false, TYPALIGN_INT));
}
