// A libpq client that reads its own writes: see 087_clients.pl, which runs it and its sisters.
//
//   libpq_client WRITE_DSN READ_DSN WAY CYCLES
//
// Ways to read after a token: session (the setting stays), transaction (SET LOCAL, for a pooler that changes server
// connections between transactions).
#include <libpq-fe.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

namespace {

// docs: begin
std::string run(PGconn* connection, const char* statement, const std::string& parameter) {
  const char* const values[] = {parameter.c_str()};
  PGresult* const result = PQexecParams(connection, statement, 1, nullptr, values, nullptr, nullptr, 0);
  const bool failed = PQresultStatus(result) != PGRES_TUPLES_OK;
  const std::string value = failed ? PQresultErrorMessage(result) : PQgetvalue(result, 0, 0);
  PQclear(result);
  if (failed) throw std::runtime_error(value);
  return value;
}

// The token of the last write on this connection. No query is sent: it came with the reply to the commit.
std::string last_write(PGconn* connection) {
  const char* const token = PQparameterStatus(connection, "meridian.last_write");
  return token == nullptr ? "" : token;
}

// The next statement on this connection waits until the write can be read.
void read_after(PGconn* connection, const std::string& token) {
  run(connection, "SELECT set_config('meridian.read_after', $1, false)", token);
}
// docs: end

void command(PGconn* connection, const char* statement) {
  PGresult* const result = PQexec(connection, statement);
  const bool failed = PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK;
  const std::string error = PQresultErrorMessage(result);
  PQclear(result);
  if (failed) throw std::runtime_error(error);
}

PGconn* connect(const char* dsn) {
  PGconn* const connection = PQconnectdb(dsn);
  if (PQstatus(connection) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection));
  return connection;
}

std::string write(PGconn* connection, int n) {
  run(connection, "INSERT INTO note VALUES ('libpq', $1::integer) RETURNING n", std::to_string(n));
  return last_write(connection);
}

int read(PGconn* connection, const std::string& token, bool in_transaction) {
  if (in_transaction) {
    command(connection, "BEGIN");
    run(connection, "SELECT set_config('meridian.read_after', $1, true)", token);
  } else {
    read_after(connection, token);
  }
  const int n = std::stoi(run(connection, "SELECT coalesce(max(n), 0) FROM note WHERE client = $1", "libpq"));
  if (in_transaction) command(connection, "COMMIT");
  return n;
}

void try_all(char** arguments) {
  PGconn* const a = connect(arguments[1]);
  PGconn* const b = connect(arguments[1]);
  PGconn* const reader = connect(arguments[2]);
  const bool in_transaction = std::strcmp(arguments[3], "transaction") == 0;
  const int cycles = std::stoi(arguments[4]);

  command(a, "SELECT 1");
  const bool quiet = last_write(a).empty() && last_write(b).empty();
  const std::string of_a = write(a, 1);
  const bool own = of_a.rfind("m1.", 0) == 0 && last_write(b).empty();
  command(a, "BEGIN");
  const bool inside = write(a, 1'000'000) == of_a;
  command(a, "ROLLBACK");
  command(a, "SELECT 1");
  const bool silent = inside && last_write(a) == of_a;
  const std::string of_b = write(b, 2);
  command(a, "SELECT 1");
  const bool apart = of_b.rfind("m1.", 0) == 0 && of_b != of_a && last_write(a) == of_a;
  int stale = 0;
  for (int n = 3; n < 3 + cycles; ++n) {
    const std::string token = write(n % 2 == 0 ? a : b, n);
    if (read(reader, token, in_transaction) != n) ++stale;
  }
  std::printf("quiet=%d own=%d silent=%d apart=%d stale=%d\n", quiet, own, silent, apart, stale);
  for (PGconn* const each : {a, b, reader}) PQfinish(each);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) return 2;
  try {
    try_all(arguments);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "libpq_client: %s\n", error.what());
    return 1;
  }
}
