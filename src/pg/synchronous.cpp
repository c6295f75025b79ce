// synchronous_standby_names as the server itself reads it, and the setting of it by SQL.
//
// ALTER SYSTEM refuses to run inside a function, because it cannot be rolled back. Here that is what the caller asked
// for (synchronous_plan(..., apply => true) says so), and the same code of the server does it.
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

void alter_system(const char* name, const char* value) {
  auto* const set = makeNode(VariableSetStmt);
  set->kind = VAR_SET_VALUE;
  set->name = pstrdup(name);
  auto* const constant = makeNode(A_Const);
  constant->val.sval.type = T_String;
  constant->val.sval.sval = pstrdup(value);
  constant->location = -1;
  set->args = list_make1(constant);
  auto* const statement = makeNode(AlterSystemStmt);
  statement->setstmt = set;
  AlterSystemSetConfigFile(statement);
}

}  // namespace
}  // namespace meridian::pg

/// meridian.synchronous_config() returns (method text, required integer, names text[])
MERIDIAN_FUNCTION(meridian_synchronous_config)
{
  const SyncRepConfigData* const config = SyncRepConfig;
  const bool none = config == nullptr || SyncRepStandbyNames == nullptr || SyncRepStandbyNames[0] == '\0';
  Datum values[3] = {};
  bool nulls[3] = {none, none, none};
  if (!none) {
    auto* const names = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(config->nmembers)));
    const char* name = config->member_names;
    for (int i = 0; i < config->nmembers; ++i) {
      names[i] = CStringGetTextDatum(name);
      name += std::strlen(name) + 1;
    }
    values[0] = CStringGetTextDatum(config->syncrep_method == SYNC_REP_PRIORITY ? "FIRST" : "ANY");
    values[1] = Int32GetDatum(config->num_sync);
    values[2] = PointerGetDatum(construct_array(names, config->nmembers, TEXTOID, -1, false, TYPALIGN_INT));
  }
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(meridian::pg::result_row_type(fcinfo), values, nulls)));
}

/// meridian.set_synchronous_names(names text) returns void
MERIDIAN_FUNCTION(meridian_set_synchronous_names)
{
  if (!superuser()) {
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("only superusers may set synchronous_standby_names"),
             errhint("Let a superuser call meridian.synchronous_plan(..., apply => true).")));
  }
  meridian::pg::alter_system("synchronous_standby_names", text_to_cstring(PG_GETARG_TEXT_PP(0)));
  if (kill(PostmasterPid, SIGHUP) != 0)
    ereport(WARNING,
            (errmsg("could not make the server read its configuration: %m"), errhint("SELECT pg_reload_conf();")));
  PG_RETURN_VOID();
}
