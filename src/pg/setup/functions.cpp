// The public SQL functions of set-up: they check their arguments, and have a worker do the work. Glue lane throughout.

#include "core/hlc.hpp"
#include "core/home_map.hpp"
#include "core/stream.hpp"
#include "pg/errors.hpp"
#include "pg/home_key.hpp"
#include "pg/home_map.hpp"
#include "pg/setup/conninfo.hpp"
#include "pg/setup/job.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg::setup {
namespace {

constexpr Size longest_name = NAMEDATALEN - 1;

/// Names become part of settings and messages on every node.
void check_name(const char* what, const char* name) {
  if (*name != '\0' && std::strlen(name) <= longest_name) return;
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  *name == '\0' ? errmsg("%s must not be empty", what) : errmsg("%s is longer than 63 bytes", what),
                  errhint("Give a name of 1 to 63 bytes.")));
}

/// The number as text.
const char* checked_streams(int streams) {
  if (streams < 1 || streams > max_streams) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("streams must be between 1 and %d", max_streams),
                    errhint("Each stream is a slot and a sender on every other member and an apply worker here.")));
  }
  return psprintf("%d", streams);
}

/// Connection string by which the worker reaches its own database.
const char* own_dsn() {
  SPI_connect();
  const int result = SPI_execute("SELECT meridian.own_dsn()", true, 1);
  if (result != SPI_OK_SELECT || SPI_processed != 1) elog(ERROR, "meridian.own_dsn() gave no row");
  const char* value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
  // Into the caller's context: SPI's own is gone after SPI_finish.
  char* dsn = nullptr;
  if (value != nullptr) {
    dsn = static_cast<char*>(SPI_palloc(std::strlen(value) + 1));
    std::strcpy(dsn, value);
  }
  SPI_finish();
  if (dsn == nullptr) {
    ereport(ERROR, (errcode(errcode_not_a_member), errmsg("this database is not a member of a mesh"),
                    errhint("Call meridian.create_node() or meridian.join() first.")));
  }
  return dsn;
}

void refuse_recovery() {
  if (!RecoveryInProgress()) return;
  ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION), errmsg("this server is a standby"),
                  errhint("Call the function on the primary.")));
}

Datum member_number(const char* result) { return Int32GetDatum(result == nullptr ? 0 : std::atoi(result)); }

/// Own dsn, then the rules.
void replicate_table(Oid relation, ArrayType* rules) {
  Datum* elements = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  deconstruct_array(rules, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
  auto** texts = static_cast<const char**>(palloc(sizeof(char*) * (count + 1)));
  for (int i = 0; i < count; ++i) {
    if (nulls[i]) {
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a rule is NULL"),
                      errhint("Write each rule as column=rule.")));
    }
    texts[i + 1] = TextDatumGetCString(elements[i]);
  }
  texts[0] = own_dsn();
  run_task(Task::replicate, relation, texts, count + 1);
}

/// Who is shown which rows differ must be allowed to see the rows.
void require_select(Oid relation) {
  const AclResult allowed = pg_class_aclcheck(relation, GetUserId(), ACL_SELECT);
  if (allowed != ACLCHECK_OK) aclcheck_error(allowed, OBJECT_TABLE, get_rel_name(relation));
  if (check_enable_rls(relation, InvalidOid, true) != RLS_ENABLED) return;
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("row-level security hides rows of table \"%s\" from you", get_rel_name(relation)),
                  errhint("Call the function as the table's owner.")));
}

struct RowStore {
  Tuplestorestate* store;
  TupleDesc descriptor;
};

/// Rows of the worker: text[], text, text.
void put_difference(void* context, const char* const* texts) {
  const auto* to = static_cast<RowStore*>(context);
  constexpr int columns = 3;
  char* values[columns];
  for (int i = 0; i < columns; ++i) values[i] = *texts[i] == '\0' ? nullptr : const_cast<char*>(texts[i]);
  HeapTuple tuple = BuildTupleFromCStrings(TupleDescGetAttInMetadata(to->descriptor), values);
  tuplestore_puttuple(to->store, tuple);
  heap_freetuple(tuple);
}

/// The stamp of a time; all stamps are above it for -infinity.
std::int64_t stamp_of(TimestampTz time) {
  if (TIMESTAMP_IS_NOBEGIN(time)) return 0;
  constexpr std::int64_t epoch_ms = std::int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * SECS_PER_DAY * 1000;
  if (TIMESTAMP_IS_NOEND(time) || time / 1000 > (std::int64_t{1} << 47) - 1 - epoch_ms) return PG_INT64_MAX;
  return std::max<std::int64_t>(time / 1000 + epoch_ms, 0) << Hlc::counter_bits;
}

/// False if no standby has the name.
bool drop_standby(Datum name) {
  Oid types[] = {TEXTOID};
  Datum values[] = {name};
  SPI_connect();
  const int outcome = SPI_execute_with_args("SELECT meridian.drop_standby($1)", 1, types, values, nullptr, false, 1);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
  bool is_null = false;
  const bool dropped = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
  SPI_finish();
  return dropped && !is_null;
}

struct TextArray {
  Datum* elements;
  bool* nulls;
  int count;
};

TextArray texts_of(ArrayType* array) {
  TextArray texts{};
  deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &texts.elements, &texts.nulls, &texts.count);
  return texts;
}

/// See tasks.hpp for how the arguments travel.
void carry_change(int owner, const char* step, const TextArray& dsns, const TextArray& arguments) {
  const Size room = 3 + static_cast<Size>(dsns.count) + 2 * static_cast<Size>(arguments.count);
  auto** const texts = static_cast<const char**>(palloc(sizeof(char*) * room));
  int count = 0;
  texts[count++] = psprintf("%d", owner);
  texts[count++] = step;
  texts[count++] = psprintf("%d", dsns.count);
  for (int i = 0; i < dsns.count; ++i) texts[count++] = dsns.nulls[i] ? "" : TextDatumGetCString(dsns.elements[i]);
  for (int i = 0; i < arguments.count; ++i) {
    texts[count++] = arguments.nulls[i] ? "0" : "1";
    texts[count++] = arguments.nulls[i] ? "" : TextDatumGetCString(arguments.elements[i]);
  }
  run_task(Task::change_registry, InvalidOid, texts, count);
}

Datum count_of(const char* result) { return Int64GetDatum(result == nullptr ? 0 : std::strtoll(result, nullptr, 10)); }

/// Runs a change of homes; up to two arguments. Returns its number.
Datum change_homes(const char* what, const char* first, const char* second) {
  refuse_recovery();
  const char* const texts[] = {own_dsn(), what, first, second};
  return count_of(run_task(Task::rehome, InvalidOid, texts, second == nullptr ? 3 : 4));
}

/// A key as it is stored: in UTF-8 and of bounded length.
const char* checked_key(const text* key) {
  const std::string_view portable = portable_text({VARDATA_ANY(key), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(key))});
  if (portable.size() > longest_key) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("a key of the directory has at most %zu bytes", longest_key),
                    errhint("Use a digest of it as the key.")));
  }
  return pnstrdup(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
}

const char* checked_region(const text* region) {
  const char* const name = text_to_cstring(region);
  check_name("the region", name);
  return name;
}

const char* checked_weight(int weight) {
  if (weight < 0 || weight > static_cast<int>(max_region_weight)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("the weight of a region must be between 0 and %u", max_region_weight),
                    errhint("Weights are relative: 1 and 2 say as much as 500 and 1000.")));
  }
  return psprintf("%d", weight);
}

}  // namespace
}  // namespace meridian::pg::setup

using meridian::pg::setup::run_task;
using meridian::pg::setup::Task;

MERIDIAN_FUNCTION(meridian_create_node)
{
  const char* const texts[] = {text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
                               text_to_cstring(PG_GETARG_TEXT_PP(2)),
                               meridian::pg::setup::checked_streams(PG_GETARG_INT32(3))};
  meridian::pg::setup::refuse_recovery();
  meridian::pg::setup::check_name("the name of the node", texts[0]);
  meridian::pg::setup::check_name("the region", texts[1]);
  return meridian::pg::setup::member_number(run_task(Task::create_node, InvalidOid, texts, 4));
}

MERIDIAN_FUNCTION(meridian_join)
{
  const char* const texts[] = {text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
                               text_to_cstring(PG_GETARG_TEXT_PP(2)), text_to_cstring(PG_GETARG_TEXT_PP(3)),
                               meridian::pg::setup::checked_streams(PG_GETARG_INT32(4))};
  meridian::pg::setup::refuse_recovery();
  meridian::pg::setup::check_name("the name of the node", texts[0]);
  meridian::pg::setup::check_name("the region", texts[1]);
  return meridian::pg::setup::member_number(run_task(Task::join, InvalidOid, texts, 5));
}

MERIDIAN_FUNCTION(meridian_leave)
{
  meridian::pg::setup::refuse_recovery();
  const char* const texts[] = {meridian::pg::setup::own_dsn()};
  run_task(Task::leave, InvalidOid, texts, 1);
  PG_RETURN_VOID();
}

/// meridian.drop_node(name text): a standby is forgotten by its member, a member leaves the mesh.
MERIDIAN_FUNCTION(meridian_drop_node)
{
  if (meridian::pg::setup::drop_standby(PG_GETARG_DATUM(0))) PG_RETURN_VOID();
  meridian::pg::setup::refuse_recovery();
  const char* const texts[] = {meridian::pg::setup::own_dsn(), text_to_cstring(PG_GETARG_TEXT_PP(0))};
  run_task(Task::drop_node, InvalidOid, texts, 2);
  PG_RETURN_VOID();
}

MERIDIAN_FUNCTION(meridian_replicate)
{
  meridian::pg::setup::refuse_recovery();
  meridian::pg::setup::replicate_table(PG_GETARG_OID(0), PG_GETARG_ARRAYTYPE_P(1));
  PG_RETURN_VOID();
}

MERIDIAN_FUNCTION(meridian_unreplicate)
{
  meridian::pg::setup::refuse_recovery();
  const char* const texts[] = {meridian::pg::setup::own_dsn()};
  run_task(Task::unreplicate, PG_GETARG_OID(0), texts, 1);
  PG_RETURN_VOID();
}

MERIDIAN_FUNCTION(meridian_compare)
{
  using namespace meridian::pg::setup;
  refuse_recovery();
  const Oid relation = PG_GETARG_OID(0);
  require_select(relation);
  const char* const texts[] = {own_dsn(), text_to_cstring(PG_GETARG_TEXT_PP(1))};
  InitMaterializedSRF(fcinfo, 0);
  const auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  RowStore store = {result->setResult, result->setDesc};
  const RowSink sink = {put_difference, &store};
  run_task(Task::compare, relation, texts, 2, &sink);
  PG_RETURN_NULL();
}

MERIDIAN_FUNCTION(meridian_repair)
{
  using namespace meridian::pg::setup;
  refuse_recovery();
  const char* const texts[] = {own_dsn(), text_to_cstring(PG_GETARG_TEXT_PP(1))};
  return count_of(run_task(Task::repair, PG_GETARG_OID(0), texts, 2));
}

MERIDIAN_FUNCTION(meridian_resend)
{
  using namespace meridian::pg::setup;
  refuse_recovery();
  const char* stamp = psprintf(INT64_FORMAT, stamp_of(PG_GETARG_TIMESTAMPTZ(1)));
  const char* const texts[] = {own_dsn(), text_to_cstring(PG_GETARG_TEXT_PP(0)), stamp};
  return count_of(run_task(Task::resend, InvalidOid, texts, 3));
}

MERIDIAN_FUNCTION(meridian_heal)
{
  using namespace meridian::pg::setup;
  refuse_recovery();
  const char* const texts[] = {own_dsn(), text_to_cstring(PG_GETARG_TEXT_PP(0))};
  return count_of(run_task(Task::heal, InvalidOid, texts, 2));
}

/// meridian.carry_change(owner integer, dsns text[], step text, arguments text[]) returns void
MERIDIAN_FUNCTION(meridian_carry_change)
{
  using namespace meridian::pg::setup;
  carry_change(PG_GETARG_INT32(0), text_to_cstring(PG_GETARG_TEXT_PP(2)), texts_of(PG_GETARG_ARRAYTYPE_P(1)),
               texts_of(PG_GETARG_ARRAYTYPE_P(3)));
  PG_RETURN_VOID();
}

MERIDIAN_FUNCTION(meridian_add_region)
{
  using namespace meridian::pg::setup;
  return change_homes("add", checked_region(PG_GETARG_TEXT_PP(0)), checked_weight(PG_GETARG_INT32(1)));
}

MERIDIAN_FUNCTION(meridian_set_region)
{
  using namespace meridian::pg::setup;
  return change_homes("set", checked_region(PG_GETARG_TEXT_PP(0)), checked_weight(PG_GETARG_INT32(1)));
}

MERIDIAN_FUNCTION(meridian_drop_region)
{
  using namespace meridian::pg::setup;
  return change_homes("drop", checked_region(PG_GETARG_TEXT_PP(0)), nullptr);
}

MERIDIAN_FUNCTION(meridian_set_home_rule)
{
  using namespace meridian::pg::setup;
  return change_homes("rule", text_to_cstring(PG_GETARG_TEXT_PP(0)), nullptr);
}

MERIDIAN_FUNCTION(meridian_pin_home)
{
  using namespace meridian::pg::setup;
  return change_homes("pin", checked_key(PG_GETARG_TEXT_PP(0)), checked_region(PG_GETARG_TEXT_PP(1)));
}

MERIDIAN_FUNCTION(meridian_unpin_home)
{
  using namespace meridian::pg::setup;
  return change_homes("unpin", checked_key(PG_GETARG_TEXT_PP(0)), nullptr);
}

MERIDIAN_FUNCTION(meridian_take_home)
{
  using namespace meridian::pg::setup;
  if (PG_ARGISNULL(0) || PG_ARGISNULL(2)) PG_RETURN_NULL();
  refuse_recovery();
  const char* const dsn = own_dsn();
  const char* const region =
      PG_ARGISNULL(1) ? pstrdup(meridian::pg::own_region().text) : checked_region(PG_GETARG_TEXT_PP(1));
  const char* const texts[] = {dsn, "take", checked_key(PG_GETARG_TEXT_PP(0)), region, PG_GETARG_BOOL(2) ? "t" : "f"};
  return count_of(run_task(Task::rehome, InvalidOid, texts, 5));
}

MERIDIAN_FUNCTION(meridian_finish_rehoming)
{
  using namespace meridian::pg::setup;
  refuse_recovery();
  const char* const texts[] = {own_dsn(), "finish"};
  const char* const outcome = run_task(Task::rehome, InvalidOid, texts, 2);
  PG_RETURN_TEXT_P(cstring_to_text(outcome == nullptr ? "" : outcome));
}

MERIDIAN_FUNCTION(meridian_redact_dsn)
{
  const char* dsn = text_to_cstring(PG_GETARG_TEXT_PP(0));
  // The core lane's answer must be in PostgreSQL's memory before its destructors run.
  char* redacted = nullptr;
  [&redacted, dsn] {
    const std::string text = meridian::pg::setup::redacted_dsn(dsn);
    const char* data = text.c_str();
    redacted = meridian::pg::call([data] { return pstrdup(data); });
  }();
  PG_RETURN_TEXT_P(cstring_to_text(redacted));
}
