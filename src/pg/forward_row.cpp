// One row, one statement. The statement was planned here and saw this server's rows, which may be older than those at
// home. So an UPDATE or DELETE carries all of the row that it saw, and does nothing if the home has another one; and an
// UPDATE sets only what it changes. What a counter is increased by is then computed at home, from the same value.
//
// Values are texts under fixed settings; names are quoted, operators qualified. Not sent: generated columns and the
// row's state, which the home makes itself.
//
// When is a transaction one that has written? An INSERT comes here before it has done anything, so the transaction has
// no id unless something else was written. An UPDATE or DELETE has locked the row, so the id says nothing; then only
// the first command of the transaction counts as one that has nothing before it, as long as none of its rows was
// written here. That refuses more than it must: a second forwarded UPDATE, and one behind SELECT ... FOR UPDATE.
#include "pg/forward_row.hpp"

#include <string_view>

#include "pg/errors.hpp"
#include "pg/forward.hpp"
#include "pg/row_plan.hpp"
#include "pg/row_values.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"
#include "pg/support/sql_text.hpp"

namespace meridian::pg {
namespace {

/// The transaction of this backend that last wrote a row here that might have been forwarded.
TransactionId wrote_here_in = InvalidTransactionId;

constexpr char forwarding_role[] = "meridian_forward";

// --- whether it may be sent ---

void require_right() {
  if (has_privs_of_role(GetUserId(), get_role_oid(forwarding_role, false))) return;
  ereport(ERROR,
          (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to write in another region"),
           errhint("GRANT %s TO %s.", forwarding_role, quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

bool has_written(const ForwardedCommand& command, bool inserts) {
  const TransactionId transaction = GetTopTransactionIdIfAny();
  if (!TransactionIdIsValid(transaction)) return false;
  return inserts || !command.first || wrote_here_in == transaction;
}

void require_nothing_written(const ForwardedCommand& command, bool inserts) {
  if (forward_after_write || !has_written(command, inserts)) return;
  ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                  errmsg("a row cannot be written in another region by a transaction that has written or locked rows"),
                  errdetail("It commits there whatever becomes of this transaction."),
                  errhint("Write it in a transaction of its own, or SET meridian.forward_after_write = on.")));
}

// --- the statement ---

/// A statement that grows.
struct Draft {
  Relation relation;
  TupleDesc descriptor;
  StringInfoData sql;
  const char** values;
  int count;
};

Draft make_draft(Relation relation) {
  Draft draft{};
  draft.relation = relation;
  draft.descriptor = RelationGetDescr(relation);
  // At most each column as it was and as it becomes.
  draft.values = static_cast<const char**>(palloc(sizeof(char*) * 2 * static_cast<Size>(draft.descriptor->natts + 1)));
  initStringInfo(&draft.sql);
  return draft;
}

bool travels(const FormData_pg_attribute* column) {
  return !column->attisdropped && column->attgenerated == '\0' &&
         std::string_view(NameStr(column->attname)) != state_column_name;
}

const char* name_of(const Draft& draft, AttrNumber column) {
  return quote_identifier(NameStr(TupleDescAttr(draft.descriptor, column - 1)->attname));
}

/// Adds a parameter; its number.
int add_value(Draft* draft, HeapTuple row, AttrNumber column) {
  bool is_null = false;
  const Datum value = heap_getattr(row, column, draft->descriptor, &is_null);
  Oid output = InvalidOid;
  bool is_varlena = false;
  getTypeOutputInfo(TupleDescAttr(draft->descriptor, column - 1)->atttypid, &output, &is_varlena);
  draft->values[draft->count] = is_null ? nullptr : OidOutputFunctionCall(output, value);
  return ++draft->count;
}

/// As `$1::type`.
void append_typed(Draft* draft, int parameter, AttrNumber column) {
  appendStringInfo(&draft->sql, "$%d::%s", parameter, qualified_type(TupleDescAttr(draft->descriptor, column - 1)));
}

/// The table as the mesh knows it: partitions may be others there.
void append_table(Draft* draft, bool changes) {
  Oid table = RelationGetRelid(draft->relation);
  if (draft->relation->rd_rel->relispartition) table = llast_oid(get_partition_ancestors(table));
  if (changes && get_rel_relkind(table) != RELKIND_PARTITIONED_TABLE) appendStringInfoString(&draft->sql, "ONLY ");
  appendStringInfoString(&draft->sql,
                         quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), get_rel_name(table)));
}

Relation open_primary_key(Relation relation) {
  const Oid index = compat::relation_get_primary_key_index(relation);
  if (OidIsValid(index)) return index_open(index, AccessShareLock);
  ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                  errmsg("table \"%s\" has no primary key, so its rows cannot be changed in another region",
                         RelationGetRelationName(relation)),
                  errhint("ALTER TABLE %s ADD PRIMARY KEY.", RelationGetRelationName(relation))));
  pg_unreachable();
}

/// WHERE: the row with this key, if it is the same there. `numbers`: of the parameters with the row, by column.
void append_condition(Draft* draft, const int* numbers) {
  appendStringInfoString(&draft->sql, " WHERE ");
  const Relation index = open_primary_key(draft->relation);
  for (int i = 0; i < index->rd_index->indnkeyatts; ++i) {
    const AttrNumber column = index->rd_index->indkey.values[i];
    const Oid type = index->rd_opcintype[i];
    const Oid equals = get_opfamily_member(index->rd_opfamily[i], type, type, BTEqualStrategyNumber);
    appendStringInfo(&draft->sql, "%s %s ", name_of(*draft, column), qualified_operator(equals));
    append_typed(draft, numbers[column - 1], column);
    appendStringInfoString(&draft->sql, " AND ");
  }
  index_close(index, AccessShareLock);
  for (const bool sent : {false, true}) {
    appendStringInfoString(&draft->sql, sent ? "), ROW(" : "pg_catalog.record_image_eq(ROW(");
    const char* separator = "";
    for (AttrNumber column = 1; column <= draft->descriptor->natts; ++column) {
      if (!travels(TupleDescAttr(draft->descriptor, column - 1))) continue;
      appendStringInfoString(&draft->sql, separator);
      separator = ", ";
      if (sent) {
        append_typed(draft, numbers[column - 1], column);
      } else {
        appendStringInfoString(&draft->sql, name_of(*draft, column));
      }
    }
  }
  appendStringInfoString(&draft->sql, "))");
}

/// The row as parameters; their numbers by column.
int* add_row(Draft* draft, HeapTuple row) {
  auto* const numbers = static_cast<int*>(palloc0(sizeof(int) * static_cast<Size>(draft->descriptor->natts)));
  for (AttrNumber column = 1; column <= draft->descriptor->natts; ++column) {
    if (travels(TupleDescAttr(draft->descriptor, column - 1))) numbers[column - 1] = add_value(draft, row, column);
  }
  return numbers;
}

void draft_insert(Draft* draft, HeapTuple row) {
  appendStringInfoString(&draft->sql, "INSERT INTO ");
  append_table(draft, false);
  const int* const numbers = add_row(draft, row);
  const char* separator = " (";
  for (AttrNumber column = 1; column <= draft->descriptor->natts; ++column) {
    if (numbers[column - 1] == 0) continue;
    appendStringInfo(&draft->sql, "%s%s", separator, name_of(*draft, column));
    separator = ", ";
  }
  appendStringInfoString(&draft->sql, ") OVERRIDING SYSTEM VALUE VALUES");
  separator = " (";
  for (int i = 1; i <= draft->count; ++i) {
    appendStringInfo(&draft->sql, "%s$%d", separator, i);
    separator = ", ";
  }
  appendStringInfoChar(&draft->sql, ')');
}

bool differs(const Draft& draft, HeapTuple before, HeapTuple after, AttrNumber column) {
  bool was_null = false;
  bool is_null = false;
  const Datum was = heap_getattr(before, column, draft.descriptor, &was_null);
  const Datum is = heap_getattr(after, column, draft.descriptor, &is_null);
  if (was_null || is_null) return was_null != is_null;
  const FormData_pg_attribute* const attribute = TupleDescAttr(draft.descriptor, column - 1);
  return !datum_image_eq(was, is, attribute->attbyval, attribute->attlen);
}

void draft_update(Draft* draft, HeapTuple before, HeapTuple after) {
  appendStringInfoString(&draft->sql, "UPDATE ");
  append_table(draft, true);
  const int* const numbers = add_row(draft, before);
  const int seen = draft->count;
  AttrNumber any = 0;
  for (AttrNumber column = 1; column <= draft->descriptor->natts; ++column) {
    if (numbers[column - 1] == 0) continue;
    any = column;
    if (!differs(*draft, before, after, column)) continue;
    appendStringInfo(&draft->sql, "%s%s = $", draft->count == seen ? " SET " : ", ", name_of(*draft, column));
    appendStringInfo(&draft->sql, "%d", add_value(draft, after, column));
  }
  // An UPDATE that changes nothing is still one.
  if (draft->count == seen) {
    const char* const name = name_of(*draft, any);
    appendStringInfo(&draft->sql, " SET %s = %s", name, name);
  }
  append_condition(draft, numbers);
}

void draft_delete(Draft* draft, HeapTuple row) {
  appendStringInfoString(&draft->sql, "DELETE FROM ");
  append_table(draft, true);
  append_condition(draft, add_row(draft, row));
}

RemoteStatement statement_for(const TriggerData* data, const char* region) {
  Draft draft = make_draft(data->tg_relation);
  const int level = pin_settings();
  // Names in values are read under another search path there.
  set_config_option("search_path", "pg_catalog", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  if (TRIGGER_FIRED_BY_INSERT(data->tg_event)) {
    draft_insert(&draft, data->tg_trigtuple);
  } else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event)) {
    draft_update(&draft, data->tg_trigtuple, data->tg_newtuple);
  } else {
    draft_delete(&draft, data->tg_trigtuple);
  }
  unpin_settings(level);
  return {region, draft.sql.data, draft.count, draft.values};
}

}  // namespace

ForwardedCommand begin_forwarding() { return {GetCurrentCommandId(false) == FirstCommandId}; }

void note_local_row() { wrote_here_in = GetTopTransactionId(); }

bool is_forwarded_session() { return std::strcmp(application_name, forward_application_name) == 0; }

void forward_row(const ForwardedCommand& command, const char* region, const TriggerData* data) {
  const bool inserts = TRIGGER_FIRED_BY_INSERT(data->tg_event);
  require_right();
  require_nothing_written(command, inserts);
  const RemoteResult result = execute_in_region(statement_for(data, region));
  const std::string_view status = result.command;
  if (inserts || !status.ends_with(" 0")) return;
  ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                  errmsg("the row of table \"%s\" in region \"%s\" is not the one that is here",
                         RelationGetRelationName(data->tg_relation), region),
                  errdetail("It was changed or deleted there, and this server does not have that yet."),
                  errhint("Try again, or write it in region \"%s\".", region)));
}

}  // namespace meridian::pg
