// SQL functions that ask for the home of a key, and the steps of a change that the core decides. Glue lane.

#include "core/rehome.hpp"
#include "pg/errors.hpp"
#include "pg/home_key.hpp"
#include "pg/home_map.hpp"
#include "pg/registry.hpp"
#include "pg/settings.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

Home existing_home(std::string_view key) {
  const Home home = find_home(key);
  if (home.source == Home::Source::none) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("there is no home region"),
                    errhint("Call meridian.add_region() for each region that takes writes.")));
  }
  return home;
}

text* to_text(const RegionName& name) { return cstring_to_text(name.text); }

/// The format of the argument's type, made once per query.
KeyFormat* cached_format(FunctionCallInfo fcinfo) {
  auto* format = static_cast<KeyFormat*>(fcinfo->flinfo->fn_extra);
  if (format != nullptr) return format;
  format = static_cast<KeyFormat*>(MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(KeyFormat)));
  init_key_format(format, get_fn_expr_argtype(fcinfo->flinfo, 0), fcinfo->flinfo->fn_mcxt);
  fcinfo->flinfo->fn_extra = format;
  return format;
}

const char* reason_of(const Home& home) {
  if (home.target.text[0] != '\0') return "the key moves and is not written until it has";
  switch (home.source) {
    case Home::Source::directory:
      return "the key is pinned";
    case Home::Source::column:
      return "the row names its region";
    default:
      return home.modulo ? "by modulo of the key" : "by hash of the key";
  }
}

[[noreturn]] void report_no_server(const char* region) {
  ereport(ERROR, (errcode(ERRCODE_CONNECTION_DOES_NOT_EXIST), errmsg("no server serves region \"%s\"", region),
                  errhint("Join a node in that region, or move its keys with meridian.rehome() or drop_region().")));
  pg_unreachable();
}

[[noreturn]] void report_down(const char* region, const char* node) {
  ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
                  errmsg("the primary of region \"%s\", \"%s\", does not answer", region, node),
                  errhint("Try again when it is back or a standby of it has been promoted; see meridian.nodes.")));
  pg_unreachable();
}

Datum route(FunctionCallInfo fcinfo, const RegionName& region, const char* reason) {
  RegionServer server;
  if (!find_region_server(region.view(), &server)) report_no_server(region.text);
  if (server.down) report_down(region.text, server.node);
  Datum values[] = {readable_text(server.node), readable_text(server.dsn), CStringGetTextDatum(region.text),
                    CStringGetTextDatum(reason)};
  bool nulls[] = {false, server.dsn[0] == '\0', false, false};
  return HeapTupleGetDatum(heap_form_tuple(cached_row_type(fcinfo), values, nulls));
}

RegionName existing_own_region() {
  const RegionName region = own_region();
  if (region.text[0] == '\0') {
    ereport(ERROR, (errcode(errcode_not_a_member), errmsg("this server is not a member of a mesh"),
                    errhint("Run meridian.create_node() to begin a mesh or meridian.join() to join one.")));
  }
  return region;
}

template <typename Enum, std::size_t N>
Enum named(const std::array<std::string_view, N>& names, std::string_view name, const char* what) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  errmsg("\"%s\" is not a %s of a change of homes", pnstrdup(name.data(), name.size()), what)));
  pg_unreachable();
}

HomeChange change_named(const text* name) { return named<HomeChange>(home_change_names, text_view(name), "state"); }

}  // namespace
}  // namespace meridian::pg

/// meridian.home_region(text) returns text
MERIDIAN_FUNCTION(meridian_home_region)
{
  using namespace meridian::pg;
  PG_RETURN_TEXT_P(to_text(existing_home(portable_text(text_view(PG_GETARG_TEXT_PP(0)))).region));
}

/// meridian.home_region(anyelement) returns text
MERIDIAN_FUNCTION(meridian_home_region_of)
{
  using namespace meridian::pg;
  PG_RETURN_TEXT_P(to_text(existing_home(key_text(cached_format(fcinfo), PG_GETARG_DATUM(0))).region));
}

/// meridian.home_regions(text[]) returns text[]
MERIDIAN_FUNCTION(meridian_home_regions)
{
  using namespace meridian::pg;
  Datum* keys = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &keys, &nulls, &count);
  auto* homes = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(count + 1)));
  for (int i = 0; i < count; ++i) {
    if (!nulls[i])
      homes[i] = PointerGetDatum(to_text(existing_home(portable_text(text_view(DatumGetTextPP(keys[i])))).region));
  }
  int sizes[] = {count};
  int lower[] = {1};
  if (count == 0) PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
  PG_RETURN_ARRAYTYPE_P(construct_md_array(homes, nulls, 1, sizes, lower, TEXTOID, -1, false, TYPALIGN_INT));
}

/// meridian.route_write(text) returns (node text, dsn text, region text, reason text)
MERIDIAN_FUNCTION(meridian_route_write)
{
  using namespace meridian::pg;
  if (PG_ARGISNULL(0)) return route(fcinfo, existing_own_region(), "no key: this region");
  const Home home = existing_home(portable_text(text_view(PG_GETARG_TEXT_PP(0))));
  return route(fcinfo, home.region, reason_of(home));
}

/// meridian.local_region() returns text
MERIDIAN_FUNCTION(meridian_local_region)
{
  using namespace meridian::pg;
  PG_RETURN_TEXT_P(to_text(existing_own_region()));
}

/// meridian.next_home_state(text, text) returns text
MERIDIAN_FUNCTION(meridian_next_home_state)
{
  using namespace meridian;
  using namespace meridian::pg;
  const HomeChange from = change_named(PG_GETARG_TEXT_PP(0));
  const HomeStep step = named<HomeStep>(home_step_names, text_view(PG_GETARG_TEXT_PP(1)), "step");
  const HomeTransition& transition = home_transition(from, step);
  if (!transition.allowed) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg_internal("%s", transition.reason),
                    errhint("See meridian.rehome_status.")));
  }
  const std::string_view name = home_change_names[static_cast<std::size_t>(transition.to)];
  PG_RETURN_TEXT_P(cstring_to_text_with_len(name.data(), static_cast<int>(name.size())));
}

/// meridian.decide_home_change(text[], boolean) returns text
MERIDIAN_FUNCTION(meridian_decide_home_change)
{
  using namespace meridian;
  using namespace meridian::pg;
  Datum* names = nullptr;
  int count = 0;
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &names, nullptr, &count);
  auto* states = static_cast<HomeChange*>(palloc(sizeof(HomeChange) * static_cast<Size>(count + 1)));
  for (int i = 0; i < count; ++i) states[i] = change_named(DatumGetTextPP(names[i]));
  constexpr const char* decisions[] = {"nothing", "commit", "abort", "wait"};
  const HomeDecision decision = decide_change({states, static_cast<std::size_t>(count)}, PG_GETARG_BOOL(1));
  PG_RETURN_TEXT_P(cstring_to_text(decisions[static_cast<std::size_t>(decision)]));
}
