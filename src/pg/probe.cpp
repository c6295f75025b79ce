#include "pg/probe.hpp"

#include <stdexcept>

#include "pg/setup/error.hpp"

namespace meridian::pg {
namespace {

using namespace std::chrono_literals;

constexpr auto connect_limit = 5s;
/// The server gives a statement up a little earlier by itself.
constexpr auto answer_limit = 4s;

constexpr char settings[] =
    "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES ('search_path', 'pg_catalog, pg_temp'), "
    "('statement_timeout', '3s'), ('lock_timeout', '2s'), ('client_min_messages', 'error'), "
    "('idle_session_timeout', '0'), ('jit', 'off'), ('client_encoding', $1)) AS s(name, value)";

const char* sql_of(Probe::Question question) {
  switch (question) {
    case Probe::Question::status:
      return "SELECT mesh, member, epoch, server, system_id, timeline, in_recovery, written, received, replayed, "
             "paused, "
             "receiving, sender_host, sender_port, applied, digest, lease, report FROM meridian.answer_probe($1, $2, "
             "$3)";
    case Probe::Question::servers:
      return "SELECT name, region, dsn, weight, drained, upstream, trusted FROM meridian.own_servers()";
    case Probe::Question::registration:
      return "SELECT meridian.register_standby($1, $2, $3, $4)";
  }
  return "";
}

class ProbeError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace

void Probe::set_target(const std::string& dsn, bool trusted, const std::string& encoding) {
  if (dsn == dsn_ && trusted == trusted_) return;
  close();
  dsn_ = dsn;
  trusted_ = trusted;
  encoding_ = encoding;
}

void Probe::ask(Question question, std::vector<Parameter> parameters, ProbeClock::time_point now) {
  question_ = question;
  parameters_ = std::move(parameters);
  asked_at_ = now;
  fresh_ = state_ == State::closed;
  deadline_ = now;  // advance() begins
}

void Probe::close() noexcept {
  last_.reset();
  connection_.reset();
  state_ = State::closed;
  unsent_ = false;
}

Probe::Wish Probe::wish() const noexcept {
  switch (state_) {
    case State::closed:
      return {};
    case State::connecting: {
      const bool read = polling_ == PGRES_POLLING_READING;
      return {PQsocket(connection_.get()), read, !read, serial_};
    }
    case State::preparing:
    case State::ready:
    case State::asking:
      return {PQsocket(connection_.get()), true, unsent_, serial_};
  }
  return {};
}

void Probe::connect(ProbeClock::time_point now) {
  try {
    conninfo_.emplace(dsn_, "the connection string");
  } catch (const setup::SetupError& error) {
    throw ProbeError(error.what());
  }
  auto parameters = conninfo_->parameters("meridian prober");
  // Who is not trusted must not use the passwords that the server's account has.
  if (!trusted_) parameters.emplace_back("passfile", "/nonexistent");
  connection_ = setup::begin_connecting(parameters);
  state_ = State::connecting;
  polling_ = PGRES_POLLING_WRITING;
  ++serial_;
  deadline_ = now + connect_limit;
  if (PQstatus(connection_.get()) == CONNECTION_BAD) fail(PQerrorMessage(connection_.get()));
}

void Probe::go_on_connecting(ProbeClock::time_point now) {
  polling_ = PQconnectPoll(connection_.get());
  ++serial_;  // it may have tried another address
  if (polling_ == PGRES_POLLING_FAILED) fail(PQerrorMessage(connection_.get()));
  if (polling_ != PGRES_POLLING_OK) return;
  if (PQsetnonblocking(connection_.get(), 1) != 0) fail(PQerrorMessage(connection_.get()));
  send(settings, {encoding_});
  state_ = State::preparing;
  deadline_ = now + answer_limit;
}

void Probe::send(const char* sql, const std::vector<Parameter>& parameters) {
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const Parameter& each : parameters) values.push_back(each ? each->c_str() : nullptr);
  PGconn* const connection = connection_.get();
  if (PQsendQueryParams(connection, sql, static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr,
                        0) == 0)
    fail(PQerrorMessage(connection));
  unsent_ = PQflush(connection) == 1;
}

void Probe::send_question(ProbeClock::time_point now) {
  send(sql_of(*question_), parameters_);
  state_ = State::asking;
  asked_at_ = now;
  deadline_ = now + answer_limit;
}

std::optional<Probe::Result> Probe::receive() {
  PGconn* const connection = connection_.get();
  if (unsent_) {
    const int flushed = PQflush(connection);
    if (flushed < 0) fail(PQerrorMessage(connection));
    unsent_ = flushed == 1;
  }
  if (PQconsumeInput(connection) == 0) fail(PQerrorMessage(connection));
  while (PQisBusy(connection) == 0) {
    Result next(PQgetResult(connection), PQclear);
    if (!next) {
      if (PQresultStatus(last_.get()) == PGRES_TUPLES_OK) return std::move(last_);
      const char* const message = PQresultErrorField(last_.get(), PG_DIAG_MESSAGE_PRIMARY);
      fail(message != nullptr ? message : PQerrorMessage(connection));
    }
    last_ = std::move(next);
  }
  return std::nullopt;
}

std::optional<Probe::Outcome> Probe::advance(ProbeClock::time_point now) {
  if (state_ == State::closed && !question_) return std::nullopt;
  try {
    if (state_ == State::ready) {
      // The server may have closed it since.
      if (PQconsumeInput(connection_.get()) == 0 || PQstatus(connection_.get()) != CONNECTION_OK) close();
      if (!question_) return std::nullopt;
      if (state_ == State::ready) send_question(now);
    }
    if (state_ == State::closed) {
      fresh_ = true;
      connect(now);
      return std::nullopt;
    }
    if (now >= deadline_) fail(state_ == State::connecting ? "connecting took too long" : "it did not answer in time");
    if (state_ == State::connecting) go_on_connecting(now);
    if (state_ == State::connecting) return std::nullopt;
    std::optional<Result> result = receive();
    if (!result) return std::nullopt;
    if (state_ == State::preparing) {
      send_question(now);
      return std::nullopt;
    }
    state_ = State::ready;
    return end({*question_, std::move(*result), {}});
  } catch (const ProbeError& error) {
    const bool died = !fresh_ && connection_ != nullptr && PQstatus(connection_.get()) != CONNECTION_OK;
    close();
    if (!question_) return std::nullopt;
    if (died) {
      fresh_ = true;
      deadline_ = now;
      return std::nullopt;
    }
    return end({*question_, Result(nullptr, PQclear), error.what()});
  }
}

Probe::Outcome Probe::end(Outcome outcome) noexcept {
  question_.reset();
  parameters_.clear();
  deadline_ = ProbeClock::time_point::max();
  return outcome;
}

void Probe::fail(std::string reason) const {
  throw ProbeError(conninfo_ ? conninfo_->redact(setup::trimmed(std::move(reason))) : reason);
}

}  // namespace meridian::pg
