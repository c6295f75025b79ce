#include "pg/setup/connection.hpp"

#include <charconv>

namespace meridian::pg::setup {
namespace {

using namespace std::chrono_literals;

constexpr auto connect_limit = 15s;
/// A statement that has not ended by then is asked about, and again after each further period.
constexpr milliseconds watch_period = 1s;
/// How long a cancelled statement may take to end before its connection is given up.
constexpr auto cancel_limit = 5s;
constexpr int default_lock_timeout_ms = 10'000;
constexpr int rows_per_transaction = 1'000;
constexpr std::size_t flush_bytes = 64 * 1024;

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string() : text;
}

milliseconds until(Clock::time_point end) {
  return std::max(std::chrono::duration_cast<milliseconds>(end - Clock::now()), milliseconds(1));
}

}  // namespace

Connection::Connection(Session& session, std::string label, const std::string& dsn, Origin origin)
    : session_(session),
      label_(std::move(label)),
      dsn_(dsn),
      conninfo_(dsn, "the connection string of " + label_),
      handle_(nullptr, PQfinish) {
  const bool distrusted = origin == Origin::caller && !session_.request().caller_is_superuser;
  if (distrusted) conninfo_.refuse_server_identity();
  connect();
  if (distrusted && PQconnectionUsedPassword(handle_.get()) == 0) {
    throw SetupError("2F003", "password is required", label_ + " let the server in without asking for the password.",
                     "Let that server ask for it (pg_hba.conf), or let a superuser call the function.");
  }
  pin_settings();
  watched_ = true;
}

void Connection::connect() {
  unflushed_ = 0;
  handle_ = begin_connecting(conninfo_.parameters());

  const auto end = Clock::now() + connect_limit;
  finish_connecting(handle_.get(), [this, end](bool reads) {
    if (Clock::now() > end) {
      throw SetupError(
          "08001", "could not connect to " + label_, "No answer within 15 seconds.",
          "Every member must be reachable while the mesh is changed; nothing was changed for want of this one.");
    }
    session_.wait_socket(PQsocket(handle_.get()), reads ? Session::Direction::read : Session::Direction::write,
                         until(end));
  });
  if (PQstatus(handle_.get()) != CONNECTION_OK) fail_connection("could not connect to " + label_);
  PQsetnonblocking(handle_.get(), 1);
}

void Connection::pin_settings() {
  const int lock_timeout =
      session_.request().lock_timeout_ms > 0 ? session_.request().lock_timeout_ms : default_lock_timeout_ms;
  // Ask for whom a statement waits before its lock_timeout ends it.
  watch_period_ = std::min(watch_period, milliseconds(std::max(lock_timeout / 3, 10)));
  // Values travel as text: its form must not depend on the settings of a role or database. Nor may a password that is a
  // parameter get into a log, and a statement whose client has gone must not wait for ever.
  query(
      "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES ('search_path', 'pg_catalog, pg_temp'), "
      "('client_encoding', pg_catalog.getdatabaseencoding()), ('client_min_messages', 'error'), ('lock_timeout', $1), "
      "('statement_timeout', '120s'), ('idle_in_transaction_session_timeout', '0'), "
      "('client_connection_check_interval', '1s'), ('datestyle', 'ISO, YMD'), ('intervalstyle', 'postgres'), "
      "('timezone', 'UTC'), ('extra_float_digits', '3'), ('bytea_output', 'hex'), ('row_security', 'off'), "
      "('default_transaction_read_only', 'off'), ('default_transaction_isolation', 'read committed')) AS s(name, "
      "value)",
      {std::to_string(lock_timeout)});
  query(
      "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN "
      "('log_parameter_max_length', 'log_parameter_max_length_on_error') AND "
      "pg_catalog.current_setting('is_superuser')::boolean");
}

Rows Connection::query(const std::string& sql, const std::vector<Value>& values) {
  send(sql, values);
  return finish();
}

Rows Connection::finish() {
  Result result = last_result();
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) fail(result.get());
  withdraw_report();
  return Rows(result.release());
}

Rows Connection::query_patiently(const std::string& sql, const std::vector<Value>& values) {
  query("SET statement_timeout = 0");
  Rows rows = query(sql, values);
  query("SET statement_timeout = '120s'");
  return rows;
}

void Connection::send(const std::string& sql, const std::vector<Value>& values) {
  std::vector<const char*> parameters;
  parameters.reserve(values.size());
  for (const Value& value : values) parameters.push_back(value ? value->c_str() : nullptr);
  if (PQsendQueryParams(handle_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr, parameters.data(),
                        nullptr, nullptr, 0) == 0) {
    fail_connection("lost the connection to " + label_);
  }
  flush();
}

void Connection::flush() {
  for (;;) {
    const int pending = PQflush(handle_.get());
    if (pending < 0) fail_connection("lost the connection to " + label_);
    if (pending == 0) break;
    session_.wait_socket(PQsocket(handle_.get()), Session::Direction::both, watch_period_);
    if (PQconsumeInput(handle_.get()) == 0) fail_connection("lost the connection to " + label_);
  }
  unflushed_ = 0;
}

void Connection::wait_readable(Clock::time_point began) {
  try {
    session_.wait_socket(PQsocket(handle_.get()), Session::Direction::read, watch_period_);
  } catch (const Stopped&) {
    cancel();
    throw;
  }
  if (PQconsumeInput(handle_.get()) == 0) fail_connection("lost the connection to " + label_);
  if (watched_ && PQisBusy(handle_.get()) != 0 && Clock::now() - began >= watch_period_) report_blockers();
}

Connection::Result Connection::next_result() {
  const auto began = Clock::now();
  while (PQisBusy(handle_.get()) != 0) wait_readable(began);
  return Result(PQgetResult(handle_.get()), PQclear);
}

Connection::Result Connection::last_result() {
  Result last = next_result();
  for (Result next = next_result(); next; next = next_result()) last = std::move(next);
  if (!last) fail_connection("lost the connection to " + label_);
  return last;
}

/// A failure here is no reason to stop waiting.
void Connection::report_blockers() {
  try {
    if (!watcher_) {
      watcher_ = std::make_unique<Connection>(session_, label_, dsn_);
      watcher_->watched_ = false;
    }
    const Rows rows = watcher_->query("SELECT meridian.blockers($1)", {std::to_string(PQbackendPID(handle_.get()))});
    session_.waiting_for(rows.null(0, 0) ? std::string() : rows.text(0, 0) + " on " + label_);
    reported_ = true;
  } catch (const Stopped&) {
    cancel();
    throw;
  } catch (const SetupError&) {
    watcher_.reset();
  }
}

void Connection::withdraw_report() {
  if (reported_) session_.waiting_for({});
  reported_ = false;
}

void Connection::cancel() noexcept {
  char ignored[256];
  PGcancel* request = PQgetCancel(handle_.get());
  if (request != nullptr) PQcancel(request, ignored, sizeof(ignored));
  PQfreeCancel(request);
}

void Connection::recover() {
  bool usable = handle_ && PQstatus(handle_.get()) == CONNECTION_OK;
  if (usable && PQtransactionStatus(handle_.get()) == PQTRANS_ACTIVE) {
    cancel();
    const auto end = Clock::now() + cancel_limit;
    bool ended = false;
    while (usable && !ended && Clock::now() < end) {
      if (PQisBusy(handle_.get()) == 0) {
        ended = !Result(PQgetResult(handle_.get()), PQclear);
        continue;
      }
      session_.wait_socket(PQsocket(handle_.get()), Session::Direction::read, until(end));
      usable = PQconsumeInput(handle_.get()) != 0;
    }
    usable = usable && ended;
  }
  if (!usable) {
    connect();
    pin_settings();
    return;
  }
  if (PQtransactionStatus(handle_.get()) != PQTRANS_IDLE) query("ROLLBACK");
}

void Connection::begin_copy(const std::string& sql, ExecStatusType expected) {
  send(sql, {});
  const Result result = next_result();
  if (PQresultStatus(result.get()) != expected) fail(result.get());
}

void Connection::end_copy_in() {
  if (PQputCopyEnd(handle_.get(), nullptr) < 0) fail_connection("lost the connection to " + label_);
  flush();
  const Result result = last_result();
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) fail(result.get());
}

bool Connection::next_copied_row(std::string& row) {
  const auto began = Clock::now();
  for (;;) {
    char* data = nullptr;
    const int size = PQgetCopyData(handle_.get(), &data, 1);
    if (size > 0) {
      row.assign(data, static_cast<std::size_t>(size));
      PQfreemem(data);
      return true;
    }
    if (size == 0) {
      wait_readable(began);
      continue;
    }
    const Result result = last_result();
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) fail(result.get());
    return false;
  }
}

void Connection::put_copied_row(const std::string& row) {
  if (PQputCopyData(handle_.get(), row.data(), static_cast<int>(row.size())) < 0) {
    fail_connection("lost the connection to " + label_);
  }
  unflushed_ += row.size();
  if (unflushed_ >= flush_bytes) flush();
}

std::int64_t Connection::copy_from(Connection& source, const std::string& select,
                                   const std::string& table_and_columns) {
  const std::string copy_in = "COPY " + table_and_columns + " FROM STDIN";
  source.begin_copy("COPY (" + select + ") TO STDOUT", PGRES_COPY_OUT);
  begin_copy(copy_in, PGRES_COPY_IN);
  std::string row;
  std::int64_t rows = 0;
  while (source.next_copied_row(row)) {
    put_copied_row(row);
    if (++rows % rows_per_transaction != 0) continue;
    end_copy_in();
    begin_copy(copy_in, PGRES_COPY_IN);
  }
  end_copy_in();
  return rows;
}

std::string Connection::literal(const std::string& text) const {
  const std::unique_ptr<char, decltype(&PQfreemem)> quoted(PQescapeLiteral(handle_.get(), text.data(), text.size()),
                                                           PQfreemem);
  if (!quoted) throw SetupError("22021", "a text is not valid in the encoding of " + label_);
  return quoted.get();
}

void Connection::fail(const PGresult* result) {
  const std::string sqlstate = field(result, PG_DIAG_SQLSTATE);
  if (sqlstate.empty()) fail_connection("lost the connection to " + label_);
  SetupError error(sqlstate, conninfo_.redact(field(result, PG_DIAG_MESSAGE_PRIMARY)),
                   conninfo_.redact(field(result, PG_DIAG_MESSAGE_DETAIL)),
                   conninfo_.redact(field(result, PG_DIAG_MESSAGE_HINT)));
  const bool waited = sqlstate == "55P03" || sqlstate == "57014";
  if (waited && reported_ && !session_.last_waiting().empty())
    error.add_detail("It waited for " + session_.last_waiting() + ".");
  if (sqlstate == "55P03") error.suggest("Repeat the call when that has ended, or with a larger lock_timeout.");
  error.add_detail("Reported by " + label_ + ".");
  withdraw_report();
  throw error;
}

void Connection::fail_connection(const std::string& what) {
  throw SetupError("08001", what, conninfo_.redact(trimmed(PQerrorMessage(handle_.get()))),
                   "The server must be running and reachable by its connection string from this server.");
}

}  // namespace meridian::pg::setup
