#include "pg/upstream.hpp"

#include "core/error.hpp"
#include "pg/settings.hpp"
#include "pg/setup/error.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"

namespace meridian::pg {

char* primary_dsn;

namespace {

using namespace std::chrono_literals;

constexpr auto connect_limit = 5s;
/// The server gives a query up a little earlier by itself.
constexpr auto query_limit = 6s;

/// Names are printable, so a line break parts them. No text of a query depends on data.
constexpr char question[] =
    "SELECT place, token, written_us FROM meridian.session_positions(pg_catalog.string_to_array($1, "
    "pg_catalog.chr(10)))";
constexpr char settings[] =
    "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES ('search_path', 'pg_catalog, pg_temp'), "
    "('statement_timeout', '5s'), ('client_min_messages', 'error'), ('default_transaction_isolation', "
    "'read committed')) AS s(name, value)";

/// Glue lane.
void wait_for_socket(int socket, int events, long timeout_ms) {
  static uint32 event = 0;
  if (event == 0) event = compat::wait_event("MeridianUpstream");
  events |= WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
  if ((WaitLatchOrSocket(MyLatch, events, socket, timeout_ms, event) & WL_LATCH_SET) != 0) ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
}

std::string joined_names(const SessionKey* keys, int count) {
  std::string names;
  for (int i = 0; i < count; ++i) {
    if (i > 0) names += '\n';
    names += name_in(keys[i].name);
  }
  return names;
}

SessionPosition read_answer(const PGresult* rows, int row) {
  const Token token = parse_token(PQgetvalue(rows, row, 1)).token;
  if (token.positions().size() != 1) throw UpstreamError("the answer is not one position");
  return {token.positions().front(), std::stoll(PQgetvalue(rows, row, 2))};
}

std::vector<SessionPosition> read_answers(const PGresult* rows, int count) {
  std::vector<SessionPosition> answers(static_cast<std::size_t>(count));
  try {
    if (PQntuples(rows) != count) throw UpstreamError("not every session was answered");
    for (int i = 0; i < count; ++i) {
      if (std::stoi(PQgetvalue(rows, i, 0)) != i + 1) throw UpstreamError("the answers are out of order");
      answers[static_cast<std::size_t>(i)] = read_answer(rows, i);
    }
  } catch (const std::logic_error&) {
    throw UpstreamError("the answer is not a number");
  } catch (const Error&) {
    throw UpstreamError("the answer is not a position");
  }
  return answers;
}

}  // namespace

std::vector<SessionPosition> Upstream::ask(const SessionKey* keys, int count) {
  const std::string names = joined_names(keys, count);
  const bool had_connection = connection_ != nullptr;
  try {
    if (!had_connection) connect();
    return read_answers(query(question, names.c_str()).get(), count);
  } catch (const UpstreamError&) {
    const bool dead = connection_ == nullptr || PQstatus(connection_.get()) != CONNECTION_OK;
    close();
    if (!had_connection || !dead) throw;
  }
  try {
    connect();
    return read_answers(query(question, names.c_str()).get(), count);
  } catch (const UpstreamError&) {
    close();
    throw;
  }
}

void Upstream::connect() {
  const bool of_replication = primary_dsn[0] == '\0';
  const std::string text = of_replication ? PrimaryConnInfo : primary_dsn;
  if (text.empty()) throw UpstreamError("neither meridian.primary_dsn nor primary_conninfo is set");
  try {
    conninfo_.emplace(text, of_replication ? "primary_conninfo" : "meridian.primary_dsn");
  } catch (const setup::SetupError& error) {
    throw UpstreamError(error.what());
  }
  auto parameters = conninfo_->parameters("meridian sessions");
  // A database in primary_conninfo is not meant for questions.
  if (of_replication) std::erase_if(parameters, [](const auto& each) { return each.first == "dbname"; });
  if (of_replication || conninfo_->value("dbname").empty()) parameters.emplace_back("dbname", database_name);
  connection_ = setup::begin_connecting(parameters);

  const auto deadline = Clock::now() + connect_limit;
  setup::finish_connecting(connection_.get(), [this, deadline](bool reads) {
    wait(reads ? WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE, deadline, "connecting");
  });
  if (PQstatus(connection_.get()) != CONNECTION_OK) fail(PQerrorMessage(connection_.get()));
  query(settings, nullptr);
}

Upstream::Result Upstream::query(const char* sql, const char* parameter) {
  PGconn* const connection = connection_.get();
  const char* const values[] = {parameter};
  if (PQsetnonblocking(connection, 1) != 0 ||
      PQsendQueryParams(connection, sql, parameter == nullptr ? 0 : 1, nullptr, values, nullptr, nullptr, 0) == 0)
    fail(PQerrorMessage(connection));
  const auto deadline = Clock::now() + query_limit;
  Result last(nullptr, PQclear);
  for (;;) {
    const int unsent = PQflush(connection);
    if (unsent < 0) fail(PQerrorMessage(connection));
    if (unsent > 0 || PQisBusy(connection) != 0) {
      wait(WL_SOCKET_READABLE | (unsent > 0 ? WL_SOCKET_WRITEABLE : 0), deadline, "an answer");
      if (PQconsumeInput(connection) == 0) fail(PQerrorMessage(connection));
      continue;
    }
    Result next(PQgetResult(connection), PQclear);
    if (!next) break;
    last = std::move(next);
  }
  if (PQresultStatus(last.get()) != PGRES_TUPLES_OK) {
    const char* const message = PQresultErrorField(last.get(), PG_DIAG_MESSAGE_PRIMARY);
    fail(message != nullptr ? message : PQerrorMessage(connection));
  }
  return last;
}

void Upstream::wait(int events, Clock::time_point deadline, const char* for_what) const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  if (left <= 0ms) throw UpstreamError(std::string(for_what) + " took too long");
  const int socket = PQsocket(connection_.get());
  const auto left_ms = static_cast<long>(left.count());
  call([=] { wait_for_socket(socket, events, left_ms); });
}

void Upstream::fail(std::string reason) const {
  throw UpstreamError(conninfo_->redact(setup::trimmed(std::move(reason))));
}

}  // namespace meridian::pg
