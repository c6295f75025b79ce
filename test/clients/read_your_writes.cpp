// Writes on one server and reads on another, many times: counts the reads that do not see the write, and measures how
// long the reader waits for it.
//
//   read_your_writes --write DSN --read DSN [--cycles 1000] [--mode MODE] [--table NAME] [--async] [--prepared]
//                    [--ddl N [--ddl-on DSN]]
//
// Modes: set        the token goes into SET meridian.read_after before the read
//        begin      into set_config(); the read is in a REPEATABLE READ transaction, whose BEGIN waits
//        statement  into set_config(); the read itself waits
//        session    no token: both name the session, and the reader waits for session_token()
//        none       no token: what a replica does by itself
//        poll:N     no token: the client asks every N microseconds whether replay has passed the position of the write
//
// --async commits asynchronously. --prepared reads through a prepared statement with a generic plan. --ddl adds and
// drops a column between every Nth write and its read; with --ddl-on also on another server, which has it while the
// writer does, as a replicated table needs it.
//
// The table is (id integer PRIMARY KEY, v bigint) and has a row 1. The token is never asked for: the server has sent
// it. Prints one line: cycles, stale reads, timeouts (MD030), other errors, and the 50th and 95th percentile of the
// wait in microseconds, from the reply to the commit to the reply that ends the wait.
#include <libpq-fe.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

/// What the server answered instead of a result.
struct ServerError : std::runtime_error {
  ServerError(const std::string& message, const char* state) : runtime_error(message), sqlstate(state ? state : "") {}
  std::string sqlstate;
};

class Connection {
 public:
  explicit Connection(const std::string& dsn) : connection_(PQconnectdb(dsn.c_str()), PQfinish) {
    if (PQstatus(get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(get()));
  }

  /// The first column of the first row, or nothing. ServerError if the statement fails.
  std::string run(const std::string& statement) { return value_of(PQexec(get(), statement.c_str())); }
  /// The same for a statement with one text parameter.
  std::string run(const std::string& statement, const std::string& parameter) {
    const char* const values[] = {parameter.c_str()};
    return value_of(PQexecParams(get(), statement.c_str(), 1, nullptr, values, nullptr, nullptr, 0));
  }
  void prepare(const char* name, const std::string& statement) {
    value_of(PQprepare(get(), name, statement.c_str(), 0, nullptr));
  }
  std::string run_prepared(const char* name, const char* parameter) {
    return value_of(PQexecPrepared(get(), name, 1, &parameter, nullptr, nullptr, 0));
  }
  /// What the server has reported with the last commit that wrote.
  std::string last_write() const {
    const char* const token = PQparameterStatus(get(), "meridian.last_write");
    return token == nullptr ? "" : token;
  }

 private:
  PGconn* get() const { return connection_.get(); }

  std::string value_of(PGresult* raw) {
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(raw, PQclear);
    const ExecStatusType status = PQresultStatus(raw);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
      throw ServerError(PQresultErrorMessage(raw), PQresultErrorField(raw, PG_DIAG_SQLSTATE));
    return status == PGRES_TUPLES_OK && PQntuples(raw) > 0 ? PQgetvalue(raw, 0, 0) : "";
  }

  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

struct Options {
  std::string write, read, mode = "set", table = "read_your_writes", ddl_on;
  int cycles = 1000;
  int ddl = 0;
  int poll_us = -1;  ///< of mode poll
  bool asynchronous = false;
  bool prepared = false;
};

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    const auto value = [&] { return ++i < count ? std::string(arguments[i]) : throw std::invalid_argument(name); };
    if (name == "--write")
      options.write = value();
    else if (name == "--read")
      options.read = value();
    else if (name == "--cycles")
      options.cycles = std::stoi(value());
    else if (name == "--mode")
      options.mode = value();
    else if (name == "--table")
      options.table = value();
    else if (name == "--ddl")
      options.ddl = std::stoi(value());
    else if (name == "--ddl-on")
      options.ddl_on = value();
    else if (name == "--async")
      options.asynchronous = true;
    else if (name == "--prepared")
      options.prepared = true;
    else
      throw std::invalid_argument(name);
  }
  if (options.mode.rfind("poll:", 0) == 0) {
    options.poll_us = std::stoi(options.mode.substr(5));
    options.mode = "poll";
  }
  for (const char* const known : {"set", "begin", "statement", "session", "none", "poll"})
    if (options.mode == known) return options;
  throw std::invalid_argument(options.mode);
}

/// The position in a token of one commit, as PostgreSQL writes it.
std::string position_in(const std::string& token) {
  const std::uint64_t lsn = std::stoull(token.substr(token.rfind('-') + 1), nullptr, 16);
  char text[32];
  std::snprintf(text, sizeof text, "%X/%X", static_cast<unsigned>(lsn >> 32), static_cast<unsigned>(lsn));
  return text;
}

class Reader {
 public:
  explicit Reader(const Options& options) : options_(options), connection_(options.read) {
    if (!options.prepared) return;
    connection_.run("SET plan_cache_mode = force_generic_plan");
    connection_.prepare("read", "SELECT v FROM " + options.table + " WHERE id = $1::integer");
  }

  /// The value that can be read after the token, and how long the wait took.
  long long read(const std::string& token, Clock::duration* waited) {
    const Clock::time_point begun = Clock::now();
    const auto lap = [&] { *waited = Clock::now() - begun; };
    wait(token);
    lap();
    const std::string value = select();
    if (options_.mode == "statement") lap();
    if (options_.mode == "begin") connection_.run("COMMIT");
    return std::stoll(value);
  }

  /// What can be read without waiting, after an error.
  long long read_now() {
    connection_.run("ROLLBACK");
    connection_.run("SET meridian.read_after = ''");
    return std::stoll(select());
  }

 private:
  void wait(const std::string& token) {
    if (options_.mode == "set") {
      connection_.run("SET meridian.read_after = '" + token + "'");
    } else if (options_.mode == "begin" || options_.mode == "statement") {
      connection_.run("SELECT set_config('meridian.read_after', $1, false)", token);
      if (options_.mode == "begin") connection_.run("BEGIN ISOLATION LEVEL REPEATABLE READ");
    } else if (options_.mode == "session") {
      connection_.run("SELECT set_config('meridian.read_after', meridian.session_token('client'), false)");
    } else if (options_.mode == "poll") {
      const std::string position = position_in(token);
      while (connection_.run("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", position) != "t")
        std::this_thread::sleep_for(std::chrono::microseconds(options_.poll_us));
    }
  }

  std::string select() {
    if (options_.prepared) return connection_.run_prepared("read", "1");
    return connection_.run("SELECT v FROM " + options_.table + " WHERE id = 1");
  }

  const Options& options_;
  Connection connection_;
};

class Writer {
 public:
  explicit Writer(const Options& options) : options_(options), connection_(options.write) {
    // DROP COLUMN has nothing to tell.
    connection_.run("SET client_min_messages = warning");
    if (options.mode == "session") connection_.run("SET meridian.session = 'client'");
    if (options.asynchronous) connection_.run("SET synchronous_commit = off");
    if (!options.ddl_on.empty()) other_ = std::make_unique<Connection>(options.ddl_on);
  }

  /// What the row holds now.
  long long write(int cycle) {
    const std::string value = connection_.run("UPDATE " + options_.table + " SET v = v + 1 WHERE id = 1 RETURNING v");
    if (options_.ddl > 0 && cycle % options_.ddl == 0) change_table();
    return std::stoll(value);
  }

  std::string token() const { return connection_.last_write(); }

 private:
  void change_table() {
    const std::string alter = "ALTER TABLE " + options_.table;
    if (other_) other_->run(alter + " ADD COLUMN extra integer");
    connection_.run(alter + " ADD COLUMN extra integer");
    connection_.run(alter + " DROP COLUMN extra");
    if (other_) other_->run(alter + " DROP COLUMN extra");
  }

  const Options& options_;
  Connection connection_;
  std::unique_ptr<Connection> other_;
};

int percentile(std::vector<int>& values, int percent) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) * static_cast<std::size_t>(percent) / 100];
}

void run(const Options& options) {
  Writer writer(options);
  Reader reader(options);
  std::vector<int> waits;
  int stale = 0, timeouts = 0, late = 0, errors = 0;
  for (int cycle = 1; cycle <= options.cycles; ++cycle) {
    const long long written = writer.write(cycle);
    Clock::duration waited{};
    try {
      if (reader.read(writer.token(), &waited) < written) ++stale;
      waits.push_back(static_cast<int>(std::chrono::duration_cast<std::chrono::microseconds>(waited).count()));
    } catch (const ServerError& error) {
      const bool here = reader.read_now() >= written;
      ++(error.sqlstate != "MD030" ? errors : here ? timeouts : late);
      std::printf("# cycle %d: %s %s", cycle, error.sqlstate.c_str(), error.what());
    }
  }
  std::printf("cycles=%d stale=%d timeouts=%d late=%d errors=%d p50_us=%d p95_us=%d max_us=%d\n", options.cycles, stale,
              timeouts, late, errors, percentile(waits, 50), percentile(waits, 95), percentile(waits, 100));
}

}  // namespace

int main(int count, char** arguments) {
  try {
    run(parse(count, arguments));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "read_your_writes: %s\n", error.what());
    return 1;
  }
}
