// route_read() and what goes with it: core/route.hpp applied to the topology in shared memory. Nobody is asked.
//
// What must be readable is a set of positions: those of the token, and on a primary the session's last write. A standby
// does not know where a session wrote last, so there a session without a token goes to the primary.

#include "pg/errors.hpp"
#include "pg/prober.hpp"
#include "pg/registry.hpp"
#include "pg/session_table.hpp"
#include "pg/settings.hpp"
#include "pg/setup/conninfo.hpp"
#include "pg/setup/error.hpp"
#include "pg/support/function.hpp"
#include "pg/token_check.hpp"

#include "core/dsn.hpp"
#include "core/error.hpp"

namespace meridian::pg {
namespace {

/// What the caller asks for, read from its arguments.
struct Ask {
  RouteQuery query;
  Position required[Token::max_positions + 1];
  bool token_is_invalid;
  bool has_region;
};

/// Spreads reads; seeded when the backend routes first.
std::uint64_t next_random() {
  static std::uint64_t state = 0;
  if (state == 0)
    state = (static_cast<std::uint64_t>(monotonic_us()) << 20 ^ static_cast<std::uint64_t>(MyProcPid)) | 1;
  state ^= state << 13;  // xorshift64, Marsaglia 2003
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

std::int64_t checked_max_lag(const Interval* interval) {
  constexpr std::int64_t longest = std::int64_t{10'000} * USECS_PER_DAY;
  const double us = static_cast<double>(interval->time) +
                    (interval->day + interval->month * double{DAYS_PER_MONTH}) * double{USECS_PER_DAY};
  if (us < 0) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max_lag must not be negative"),
                    errhint("NULL stands for the setting meridian.max_lag.")));
  }
  return us > static_cast<double>(longest) ? longest : static_cast<std::int64_t>(us);
}

/// Adds where the session wrote last, on a primary; else only the primary can tell.
void require_session(const text* argument, bool has_token, Ask* ask, std::size_t* count) {
  const std::string_view name = text_view(argument);
  if (!is_session_name(name)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("not the name of a session"),
                    errhint("Give what meridian.session was set to: 1 to 64 printable ASCII characters.")));
  }
  if (RecoveryInProgress()) {
    ask->query.primary_only = !has_token;
    return;
  }
  if (!tracks_sessions()) {
    ask->query.primary_only = true;
    return;
  }
  const LastWrite write = last_write_of(session_key(name));
  if (write.lsn != 0) ask->required[(*count)++] = {GetSystemIdentifier(), GetWALInsertionTimeLine(), write.lsn};
}

/// Whether this server has what is required, as check_token() says it.
bool self_has(const Ask& ask, std::size_t token_positions) {
  if (token_positions == 0) return true;
  Wanted wanted;
  wanted.valid = true;
  wanted.count = static_cast<int>(token_positions);
  std::copy(ask.required, ask.required + token_positions, wanted.positions);
  return judge_here(wanted).verdict == Verdict::yes;
}

/// The positions of the token; how many there are. An invalid token has none.
std::size_t read_required(const text* argument, Ask* ask) {
  if (argument == nullptr) return 0;
  const Wanted wanted = read_token(text_view(argument));
  ask->token_is_invalid = !wanted.valid;
  if (!wanted.valid) return 0;
  std::copy(wanted.positions, wanted.positions + wanted.count, ask->required);
  return static_cast<std::size_t>(wanted.count);
}

void complete_history(Ask* ask, std::size_t count) {
  const Reach own = own_reach();
  ask->query.system_id = own.system_id;
  ask->query.timeline = own.timeline;
  const bool older = std::any_of(ask->required, ask->required + count, [&own](const Position& each) {
    return each.system_id == own.system_id && each.timeline < own.timeline;
  });
  if (older) ask->query.ancestors = ancestors_of(own.timeline);
}

/// Arguments: session, token, max_lag, region.
void read_arguments(FunctionCallInfo fcinfo, Ask* ask) {
  *ask = {};
  RouteQuery& query = ask->query;
  query.now = monotonic_us();
  query.oldest_sample = query.now - stale_after_us();
  query.max_lag_us = PG_ARGISNULL(2) ? -1 : checked_max_lag(PG_GETARG_INTERVAL_P(2));
  ask->has_region = !PG_ARGISNULL(3) || region_name[0] != '\0';
  query.region = PG_ARGISNULL(3) ? region_key(region_name) : region_key(text_view(PG_GETARG_TEXT_PP(3)));
  query.random = next_random();
  const std::size_t in_token = read_required(PG_ARGISNULL(1) ? nullptr : PG_GETARG_TEXT_PP(1), ask);
  std::size_t count = in_token;
  if (!PG_ARGISNULL(0)) require_session(PG_GETARG_TEXT_PP(0), in_token > 0, ask, &count);
  if (ask->token_is_invalid) query.primary_only = true;
  query.required = {ask->required, count};
  if (count == 0) return;
  complete_history(ask, count);
  query.self_has_required = self_has(*ask, in_token);
}

[[noreturn]] void report_nothing_known() {
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("this server knows no server to route to"),
                  errhint("Its database must be a node of a mesh (meridian.create_node), and meridian in "
                          "shared_preload_libraries; meridian.prober_status() shows whether servers are probed.")));
  pg_unreachable();
}

std::span<const RouteServer> servers_in(const Topology& topology) {
  return {topology.routes, static_cast<std::size_t>(topology.count)};
}

/// The server that this one is; its member is the home of whoever asks here.
const RouteServer* self_in(const Topology& topology) {
  const std::span<const RouteServer> servers = servers_in(topology);
  const auto self = std::find_if(servers.begin(), servers.end(), [](const RouteServer& each) { return each.is_self; });
  return self == servers.end() ? nullptr : &*self;
}

/// The choice, and the query completed by what the topology says. Nothing is chosen from an empty one.
RouteChoice choose(const Topology& topology, Ask* ask) {
  const RouteServer* const self = self_in(topology);
  if (self == nullptr) return {};
  const std::span<const RouteServer> servers = servers_in(topology);
  const std::span<const AppliedPositions> applied(topology.applied, servers.size());
  if (!ask->has_region) ask->query.region = self->region;
  ask->query.home = home_of(servers, ask->query.required, self->member);
  return choose_server(servers, applied, ask->query);
}

constexpr char invalid_token_reason[] = "the primary: the token is not valid";

struct RouteRow {
  bool found;
  Datum values[4];
};

void make_row(const Topology& topology, Ask* ask, RouteRow* row) {
  const RouteChoice choice = choose(topology, ask);
  row->found = choice.tier != RouteTier::nothing;
  if (!row->found) return;
  const RouteServer& server = topology.routes[choice.index];
  const ServerDetail& detail = topology.details[choice.index];
  char reason[route_reason_size];
  write_reason(choice, server, reason);
  row->values[0] = readable_text(detail.name);
  row->values[1] = readable_text(detail.address);
  row->values[2] = CStringGetTextDatum(server.in_recovery ? "standby" : "primary");
  row->values[3] = CStringGetTextDatum(ask->token_is_invalid ? invalid_token_reason : reason);
}

constexpr int explain_columns = 8;

struct ExplainRow {
  Datum values[explain_columns];
  bool nulls[explain_columns];
};

ExplainRow explain(const Topology& topology, int i, const RouteChoice& choice, const Ask& ask) {
  const RouteServer& server = topology.routes[i];
  const ServerDetail& detail = topology.details[i];
  const bool chosen = choice.tier != RouteTier::nothing && choice.index == static_cast<std::size_t>(i);
  const Refusal refusal = refusal_of(server, &topology.applied[i], ask.query);
  return {{readable_text(detail.name),
           CStringGetTextDatum(!detail.answered     ? ""
                               : server.in_recovery ? "standby"
                                                    : "primary"),
           readable_text(detail.region), CStringGetTextDatum(name_of(server.health)), BoolGetDatum(chosen),
           CStringGetTextDatum(text_of(refusal)), interval_of_us(server.lag_us),
           interval_of_us(ask.query.now - server.sampled_at)},
          {false, !detail.answered, false, false, false, false, !server.in_recovery || !server.lag_known,
           !detail.answered}};
}

// --- connection strings ---

enum class Purpose { read, write };

struct ConninfoAsk {
  Purpose purpose;
  bool balance;
  bool has_region;
  std::uint64_t region;
};

ConninfoAsk read_purpose(const text* argument, bool balance) {
  const std::string_view text = text_view(argument);
  const auto colon = text.find(':');
  const std::string_view verb = text.substr(0, colon);
  const std::string_view region = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  if ((verb != "read" && verb != "write") || (colon != std::string_view::npos && region.empty())) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("\"%s\" is not a purpose of a connection", text_to_cstring(argument)),
                    errhint("It is read, write, read:<region> or write:<region>.")));
  }
  return {verb == "read" ? Purpose::read : Purpose::write, balance, colon != std::string_view::npos,
          region_key(region)};
}

/// Numbers of servers in the order in which a writer should try them: who writes for the member, then who may.
int order_for_writing(const Topology& topology, const ConninfoAsk& ask, int* order) {
  const RouteServer* const self = self_in(topology);
  if (self == nullptr) return 0;
  const std::span<const RouteServer> servers = servers_in(topology);
  const auto writer = std::find_if(servers.begin(), servers.end(), [&](const RouteServer& each) {
    const bool at_home = ask.has_region ? each.region == ask.region : each.member == self->member;
    return at_home && (each.writes || each.expected_primary) && each.health != Health::diverged;
  });
  if (writer == servers.end()) return 0;
  const std::size_t primary = primary_of(servers, writer->member);
  int count = 0;
  if (primary < servers.size()) order[count++] = static_cast<int>(primary);
  for (int i = 0; i < topology.count; ++i) {
    const RouteServer& each = topology.routes[i];
    const bool left_behind =
        each.health == Health::diverged || (!each.in_recovery && !each.writes && each.system_id != 0);
    if (each.member == writer->member && static_cast<std::size_t>(i) != primary && each.has_address && !left_behind)
      order[count++] = i;
  }
  return count;
}

/// In which a reader should: replicas of the region that qualify, its primary, other replicas, the primary of home.
int order_for_reading(const Topology& topology, const ConninfoAsk& ask, int* order) {
  const RouteServer* const self = self_in(topology);
  if (self == nullptr) return 0;
  RouteQuery query{};
  query.now = monotonic_us();
  query.oldest_sample = query.now - stale_after_us();
  query.max_lag_us = -1;
  query.region = ask.has_region ? ask.region : region_name[0] != '\0' ? region_key(region_name) : self->region;
  query.home = self->member;
  int count = 0;
  const auto add = [&](auto wanted) {
    for (int i = 0; i < topology.count; ++i) {
      const RouteServer& each = topology.routes[i];
      if (refusal_of(each, nullptr, query) == Refusal::none && wanted(each)) order[count++] = i;
    }
  };
  add([&](const RouteServer& each) { return each.in_recovery && each.region == query.region; });
  add([&](const RouteServer& each) { return !each.in_recovery && each.region == query.region; });
  if (!ask.balance) add([&](const RouteServer& each) { return each.in_recovery && each.region != query.region; });
  const std::size_t primary = primary_of(servers_in(topology), self->member);
  const bool listed = std::find(order, order + count, static_cast<int>(primary)) != order + count;
  if (primary < static_cast<std::size_t>(topology.count) && !listed) order[count++] = static_cast<int>(primary);
  return count;
}

/// Core lane. Null if there is no address; else palloc'd.
char* join_addresses(const char* const* addresses, int count, const ConninfoAsk& ask) {
  std::vector<ServerAddress> servers;
  for (int i = 0; i < count; ++i) {
    try {
      ServerAddress address = address_of(setup::Conninfo(addresses[i], "an address").given());
      if (!address.endpoints.empty()) servers.push_back(std::move(address));
    } catch (const setup::SetupError&) {
      // It was cut to fit its place in shared memory.
    }
  }
  const char* const attributes = ask.purpose == Purpose::read ? "prefer-standby" : "read-write";
  const std::string text = to_conninfo(servers, attributes, ask.balance);
  if (text.empty()) return nullptr;
  const char* const data = text.c_str();
  return call([data] { return pstrdup(data); });
}

}  // namespace
}  // namespace meridian::pg

/// meridian.route_read(session text, token text, max_lag interval, region text) returns (node text, dsn text, role
/// text, reason text)
MERIDIAN_FUNCTION(meridian_route_read)
{
  using namespace meridian::pg;
  Ask ask;
  read_arguments(fcinfo, &ask);
  RouteRow row{};
  read_topology([&ask, &row](const Topology& topology) { make_row(topology, &ask, &row); });
  if (!row.found) report_nothing_known();
  bool nulls[4] = {};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(cached_row_type(fcinfo), row.values, nulls)));
}

/// meridian.explain_route_read(session text, token text, max_lag interval, region text): see sql/83_route.sql
MERIDIAN_FUNCTION(meridian_explain_route_read)
{
  using namespace meridian::pg;
  Ask ask;
  read_arguments(fcinfo, &ask);
  InitMaterializedSRF(fcinfo, 0);
  auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  ExplainRow* rows = nullptr;
  int count = 0;
  read_topology([&](const Topology& topology) {
    rows = static_cast<ExplainRow*>(palloc(sizeof(ExplainRow) * static_cast<Size>(topology.count + 1)));
    count = topology.count;
    const auto choice = choose(topology, &ask);
    for (int i = 0; i < count; ++i) rows[i] = explain(topology, i, choice, ask);
  });
  for (int i = 0; i < count; ++i)
    tuplestore_putvalues(result->setResult, result->setDesc, rows[i].values, rows[i].nulls);
  PG_RETURN_NULL();
}

/// meridian.conninfo(purpose text, balance boolean) returns text
MERIDIAN_FUNCTION(meridian_conninfo)
{
  using namespace meridian::pg;
  const ConninfoAsk ask = read_purpose(PG_GETARG_TEXT_PP(0), PG_GETARG_BOOL(1));
  auto* const order = static_cast<int*>(palloc(sizeof(int) * static_cast<Size>(max_servers + 1)));
  auto** const addresses = static_cast<const char**>(palloc(sizeof(char*) * static_cast<Size>(max_servers + 1)));
  int count = 0;
  read_topology([&](const Topology& topology) {
    count = ask.purpose == Purpose::read ? order_for_reading(topology, ask, order)
                                         : order_for_writing(topology, ask, order);
    for (int i = 0; i < count; ++i)
      addresses[i] = pnstrdup(topology.details[order[i]].address, sizeof(ServerDetail::address) - 1);
  });
  char* const list = guarded([=, &ask] { return join_addresses(addresses, count, ask); });
  if (list == nullptr) {
    if (!ask.has_region) report_nothing_known();
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                    errmsg("no server is known for \"%s\"", text_to_cstring(PG_GETARG_TEXT_PP(0))),
                    errhint("See the regions in the view meridian.nodes.")));
  }
  PG_RETURN_TEXT_P(cstring_to_text(list));
}
