// The trigger meridian.enforce_home(): a row is written where its key has its home.
//
// An UPDATE must be at home with the row that was there, and with the new one if that has another key. It may change
// the region column: it then gives the row away, and the other region has the row when it has this change.
//
// With mode=forward a row whose home is elsewhere is written there instead (forward_row.cpp), and skipped here. A key
// that moves, and a row that goes from one home to another, are refused as ever, and so is all in a session that works
// for another region: two servers that disagree must not send a row to and fro.
//
// The trigger is not ENABLE ALWAYS: an apply worker brings what was checked where it was written.
#include <array>

#include "pg/applying.hpp"
#include "pg/errors.hpp"
#include "pg/forward_row.hpp"
#include "pg/home_key.hpp"
#include "pg/home_lease.hpp"
#include "pg/home_map.hpp"
#include "pg/identity.hpp"
#include "pg/key_counts.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

enum class Mode { error, warn, forward };

/// The trigger's arguments, compiled once per query.
struct Enforced {
  AttrNumber key;
  AttrNumber region;  ///< 0: none
  Mode mode;
  KeyFormat format;
  SPIPlanPtr parent;  ///< gives the key of the row that the column refers to; null: the column is the key
  ForwardedCommand command;
};

[[noreturn]] void refuse_argument(const char* argument, const char* hint) {
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  errmsg("enforce_home() does not understand argument \"%s\"", argument), errhint("%s", hint)));
  pg_unreachable();
}

AttrNumber existing_column(Relation relation, const char* name) {
  const int number = SPI_fnumber(RelationGetDescr(relation), name);
  if (number > 0) return static_cast<AttrNumber>(number);
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                  errmsg("table \"%s\" has no column \"%s\"", RelationGetRelationName(relation), name),
                  errhint("Name the key column as the first argument of enforce_home().")));
  pg_unreachable();
}

Oid column_type(Relation relation, AttrNumber column) {
  return TupleDescAttr(RelationGetDescr(relation), column - 1)->atttypid;
}

// --- keys of a parent ---

/// The one column of a table's primary key, palloc'd.
const char* single_key_column(Relation parent) {
  const Oid index = compat::relation_get_primary_key_index(parent);
  if (OidIsValid(index)) {
    const Relation relation = index_open(index, AccessShareLock);
    const bool single = relation->rd_index->indnkeyatts == 1;
    const AttrNumber column = relation->rd_index->indkey.values[0];
    index_close(relation, AccessShareLock);
    if (single) return get_attname(RelationGetRelid(parent), column, false);
  }
  ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
                  errmsg("table \"%s\" has no primary key of one column", RelationGetRelationName(parent)),
                  errhint("enforce_home() finds the parent's row by its primary key.")));
  pg_unreachable();
}

/// Prepares the query for `[schema.]table.column`; without a schema the table is in that of the child.
SPIPlanPtr prepare_parent(const char* reference, Relation child, Oid column) {
  List* names = textToQualifiedNameList(cstring_to_text(reference));
  if (list_length(names) < 2 || list_length(names) > 3)
    refuse_argument(reference, "Write the parent's key as table.column or schema.table.column.");
  const bool qualified = list_length(names) == 3;
  const char* const schema = qualified ? strVal(linitial(names)) : get_namespace_name(RelationGetNamespace(child));
  const char* const table = strVal(list_nth(names, qualified ? 1 : 0));
  const Oid parent =
      RangeVarGetRelid(makeRangeVar(const_cast<char*>(schema), const_cast<char*>(table), -1), AccessShareLock, false);
  const Relation relation = table_open(parent, NoLock);
  const char* const key = strVal(llast(names));
  (void)existing_column(relation, key);
  StringInfoData query;
  initStringInfo(&query);
  appendStringInfo(&query, "SELECT %s FROM %s WHERE %s OPERATOR(pg_catalog.=) $1", quote_identifier(key),
                   quote_qualified_identifier(schema, table), quote_identifier(single_key_column(relation)));
  table_close(relation, NoLock);
  const SPIPlanPtr plan = SPI_prepare(query.data, 1, &column);
  if (plan == nullptr) elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
  SPI_keepplan(plan);
  return plan;
}

/// The parent's key as text, in the caller's memory; reads what the statement itself has written before.
std::string_view key_of_parent(Enforced* enforced, Datum reference, MemoryContext caller) {
  const int outcome = SPI_execute_plan(enforced->parent, &reference, nullptr, false, 1);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute_plan returned %s", SPI_result_code_string(outcome));
  bool is_null = true;
  Datum value = 0;
  if (SPI_processed == 1) value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
  if (is_null) {
    ereport(ERROR, (errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
                    errmsg("the home of the row is unknown: the row that it refers to is not here"),
                    errhint("Insert the parent's row first.")));
  }
  const Oid type = SPI_gettypeid(SPI_tuptable->tupdesc, 1);
  if (enforced->format.type != type) init_key_format(&enforced->format, type, caller);
  const std::string_view text = key_text(&enforced->format, value);
  return {MemoryContextStrdup(caller, pnstrdup(text.data(), text.size())), text.size()};
}

// --- arguments ---

void read_option(Enforced* enforced, const char* option, Relation relation) {
  constexpr std::string_view region = "region_column=";
  const std::string_view text = option;
  if (text == "mode=error") {
    enforced->mode = Mode::error;
  } else if (text == "mode=warn") {
    enforced->mode = Mode::warn;
  } else if (text == "mode=forward") {
    enforced->mode = Mode::forward;
  } else if (text.starts_with(region)) {
    enforced->region = existing_column(relation, option + region.size());
  } else {
    refuse_argument(option, "Options are mode=error, mode=warn, mode=forward and region_column=column.");
  }
}

/// What the plan of the last query of this trigger needs no more is freed with the query's memory.
void free_parent(void* plan) { SPI_freeplan(static_cast<SPIPlanPtr>(plan)); }

Enforced* compile(FunctionCallInfo fcinfo, const Trigger* trigger, Relation relation) {
  if (trigger->tgnargs == 0) refuse_argument("", "Name the key column: enforce_home('user_id').");
  const MemoryContext context = fcinfo->flinfo->fn_mcxt;
  auto* const enforced = static_cast<Enforced*>(MemoryContextAllocZero(context, sizeof(Enforced)));
  enforced->key = existing_column(relation, trigger->tgargs[0]);
  const Oid type = column_type(relation, enforced->key);
  for (int i = 1; i < trigger->tgnargs; ++i) {
    const char* const argument = trigger->tgargs[i];
    if (std::strchr(argument, '=') != nullptr || std::strchr(argument, '.') == nullptr) {
      read_option(enforced, argument, relation);
    } else if (enforced->parent == nullptr) {
      enforced->parent = prepare_parent(argument, relation, type);
      auto* const callback =
          static_cast<MemoryContextCallback*>(MemoryContextAlloc(context, sizeof(MemoryContextCallback)));
      *callback = {free_parent, enforced->parent, nullptr};
      MemoryContextRegisterResetCallback(context, callback);
    } else {
      refuse_argument(argument, "There can be one parent.");
    }
  }
  if (enforced->parent == nullptr) init_key_format(&enforced->format, type, context);
  fcinfo->flinfo->fn_extra = enforced;
  return enforced;
}

// --- rows ---

/// What decides the home of a row.
struct RowKey {
  std::string_view key;
  std::string_view region;  ///< that its region column names; empty for none
};

RowKey key_of_row(Enforced* enforced, HeapTuple row, Relation relation, MemoryContext caller) {
  bool is_null = false;
  const TupleDesc descriptor = RelationGetDescr(relation);
  const Datum value = heap_getattr(row, enforced->key, descriptor, &is_null);
  if (is_null) {
    ereport(ERROR,
            (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
             errmsg("column \"%s\" of table \"%s\" is NULL, so the row has no home",
                    NameStr(TupleDescAttr(descriptor, enforced->key - 1)->attname), RelationGetRelationName(relation)),
             errhint("Give the key before the row is written.")));
  }
  RowKey found{};
  found.key = enforced->parent == nullptr ? key_text(&enforced->format, value) : key_of_parent(enforced, value, caller);
  if (enforced->region == 0) return found;
  const Datum region = heap_getattr(row, enforced->region, descriptor, &is_null);
  if (is_null) return found;
  Oid output = InvalidOid;
  bool is_varlena = false;
  getTypeOutputInfo(column_type(relation, enforced->region), &output, &is_varlena);
  found.region = OidOutputFunctionCall(output, region);
  if (!is_home_region(found.region)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("\"%s\" is not a home region", found.region.data()), errhint("See meridian.home_regions.")));
  }
  return found;
}

/// The home as JSON, for programs.
char* describe(const Home& home, const RegionServer& server, std::string_view key, Relation relation) {
  StringInfoData text;
  initStringInfo(&text);
  const auto put = [&text](const char* name, const char* value) {
    if (text.len > 1) appendStringInfoString(&text, ", ");
    escape_json(&text, name);
    appendStringInfoString(&text, ": ");
    escape_json(&text, value);
  };
  appendStringInfoChar(&text, '{');
  put("table", quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                          RelationGetRelationName(relation)));
  put("key", pnstrdup(key.data(), key.size()));
  put("home", home.region.text);
  if (home.target.text[0] != '\0') put("target", home.target.text);
  appendStringInfo(&text, ", \"epoch\": " UINT64_FORMAT, home.epoch);
  if (server.node[0] != '\0') put("node", server.node);
  if (server.dsn[0] != '\0') put("conninfo", server.dsn);
  appendStringInfoChar(&text, '}');
  return text.data;
}

void refuse(const Enforced& enforced, const Home& home, std::string_view key, Relation relation) {
  const int level = enforced.mode == Mode::warn ? WARNING : ERROR;
  const bool moves = home.target.text[0] != '\0';
  RegionServer server{};
  (void)find_region_server(moves ? home.target.view() : home.region.view(), &server);
  const char* const detail = describe(home, server, key, relation);
  const char* const shown = pnstrdup(key.data(), std::min<std::size_t>(key.size(), 64));
  if (moves) {
    ereport(level,
            (errcode(errcode_home_moves),
             errmsg("key \"%s\" moves from region \"%s\" to \"%s\" and cannot be written now", shown, home.region.text,
                    home.target.text),
             errdetail_internal("%s", detail), errhint("Try again in a moment, in region \"%s\".", home.target.text)));
  } else {
    ereport(level, (errcode(errcode_not_home),
                    errmsg("the home of key \"%s\" is region \"%s\", and this is \"%s\"", shown, home.region.text,
                           own_region().text),
                    errdetail_internal("%s", detail),
                    server.dsn[0] == '\0' ? errhint("Write it in region \"%s\".", home.region.text)
                                          : errhint("Write it in region \"%s\": %s", home.region.text, server.dsn)));
  }
}

Home home_of_row(const RowKey& row) {
  const Home home = find_home(row.key, row.region);
  if (home.source == Home::Source::none) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("there is no home region"),
                    errhint("Call meridian.add_region() for each region that takes writes.")));
  }
  return home;
}

/// Whether a row of this home can be written by sending it there.
bool can_forward(const Enforced& enforced, const Home& home) {
  return enforced.mode == Mode::forward && !home.here && home.target.text[0] == '\0' && !is_forwarded_session();
}

/// Judges the row that is there, or comes, and in an UPDATE the new one. Raises what is refused. Where the row is to be
/// written; none: here.
RegionName judge(Enforced* enforced, const TriggerData* data, MemoryContext caller) {
  const Relation relation = data->tg_relation;
  const RowKey row = key_of_row(enforced, data->tg_trigtuple, relation, caller);
  const Home home = home_of_row(row);
  RowKey new_row = row;
  Home new_home = home;
  if (TRIGGER_FIRED_BY_UPDATE(data->tg_event)) {
    new_row = key_of_row(enforced, data->tg_newtuple, relation, caller);
    if (new_row.key != row.key) new_home = home_of_row(new_row);
  }
  // What another region sent was counted there.
  if (counted_keys > 0 && home.target.text[0] == '\0' && !is_forwarded_session()) count_key(row.key, !home.here);
  const bool same = home.region.view() == new_home.region.view();
  if (same && can_forward(*enforced, home) && can_forward(*enforced, new_home)) return home.region;
  if (!home.accepted) refuse(*enforced, home, row.key, relation);
  if (new_row.key != row.key && !new_home.accepted) refuse(*enforced, new_home, new_row.key, relation);
  return {};
}

/// Whether the row was written in another region instead.
bool enforce(FunctionCallInfo fcinfo, const TriggerData* data) {
  auto* enforced = static_cast<Enforced*>(fcinfo->flinfo->fn_extra);
  const MemoryContext caller = CurrentMemoryContext;
  // A server that is a copy, or was promoted and is not confirmed, writes for no region.
  (void)local_actor();
  begin_home_write();
  const bool first = enforced == nullptr;
  const ForwardedCommand command = begin_forwarding();
  const bool connects = first || enforced->parent != nullptr;
  if (connects) SPI_connect();
  if (first) {
    enforced = compile(fcinfo, data->tg_trigger, data->tg_relation);
    enforced->command = command;
  }
  const RegionName elsewhere = judge(enforced, data, caller);
  if (connects) SPI_finish();
  if (elsewhere.text[0] != '\0') {
    forward_row(enforced->command, elsewhere.text, data);
    return true;
  }
  if (enforced->mode != Mode::warn) require_home_lease();
  if (enforced->mode == Mode::forward) note_local_row();
  return false;
}

}  // namespace
}  // namespace meridian::pg

/// Trigger BEFORE INSERT OR UPDATE OR DELETE FOR EACH ROW
MERIDIAN_FUNCTION(meridian_enforce_home)
{
  using namespace meridian::pg;
  const auto* const data = reinterpret_cast<const TriggerData*>(fcinfo->context);
  if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.enforce_home() must be a trigger BEFORE each row"),
                    errhint("CREATE TRIGGER ... BEFORE INSERT OR UPDATE OR DELETE ON ... FOR EACH ROW EXECUTE FUNCTION "
                            "meridian.enforce_home('key_column').")));
  }
  const bool elsewhere = !applying() && enforce(fcinfo, data);
  if (elsewhere) PG_RETURN_POINTER(nullptr);
  PG_RETURN_POINTER(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple);
}
