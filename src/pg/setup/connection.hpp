// A libpq connection of the set-up worker. Core lane: C++ objects and exceptions, and no PostgreSQL call but the latch
// wait inside Session.
//
//   Connection node(session, "node \"eu\"", dsn);
//   Rows rows = node.query("SELECT name FROM meridian.member WHERE id = $1", {"2"});
//
// Everything is asynchronous, so a worker that was told to stop notices at once. A statement cut off in this way is
// cancelled on its server; the connection is put in order again by recover(), or is made anew.
//
// While a statement waits for a second or more, a second connection to the same node asks for whom, and the caller is
// told.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pg/setup/conninfo.hpp"
#include "pg/setup/session.hpp"

namespace meridian::pg::setup {

/// NULL or a text.
using Value = std::optional<std::string>;

/// A query's result.
class Rows {
 public:
  explicit Rows(PGresult* result) : result_(result, PQclear) {}
  [[nodiscard]] int count() const { return PQntuples(result_.get()); }
  [[nodiscard]] bool null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  /// Empty for NULL.
  [[nodiscard]] std::string text(int row, int column) const { return PQgetvalue(result_.get(), row, column); }
  [[nodiscard]] Value value(int row, int column) const {
    return null(row, column) ? Value() : Value(text(row, column));
  }
  [[nodiscard]] int integer(int row, int column) const { return null(row, column) ? 0 : std::stoi(text(row, column)); }
  [[nodiscard]] bool boolean(int row, int column) const { return text(row, column) == "t"; }

 private:
  std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

class Connection {
 public:
  /// Connects, pins the session's settings. `label` names the node in errors. Throws SetupError 08001 with libpq's
  /// reason. `from_caller`: the string is an argument of the calling user, whose rights it must not exceed.
  enum class Origin { mesh, caller };
  Connection(Session& session, std::string label, const std::string& dsn, Origin origin = Origin::mesh);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Runs one statement. Throws SetupError with the server's SQLSTATE, message, detail and hint.
  Rows query(const std::string& sql, const std::vector<Value>& values = {});
  /// As query, without a time limit: for what waits for open transactions or moves rows.
  Rows query_patiently(const std::string& sql, const std::vector<Value>& values = {});

  /// Begins a statement without waiting for it; finish() waits and returns its result. Of two nodes at a time, both
  /// work.
  void start(const std::string& sql, const std::vector<Value>& values = {}) { send(sql, values); }
  Rows finish();

  /// Ready for statements again after an error or a cut-off statement: no transaction, connected. For undoing.
  void recover();

  /// Copies the rows of `select` on `source` into `table_and_columns` here, in transactions of 1,000 rows. Returns how
  /// many there were.
  std::int64_t copy_from(Connection& source, const std::string& select, const std::string& table_and_columns);

  /// The text as an SQL literal.
  [[nodiscard]] std::string literal(const std::string& text) const;

  void set_label(std::string label) { label_ = std::move(label); }
  [[nodiscard]] const std::string& label() const noexcept { return label_; }

 private:
  using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

  void connect();
  void pin_settings();
  void send(const std::string& sql, const std::vector<Value>& values);
  /// Next result of the running statement; null after the last.
  Result next_result();
  Result last_result();
  void wait_readable(Clock::time_point began);
  void flush();
  void report_blockers();
  void withdraw_report();
  void cancel() noexcept;
  void begin_copy(const std::string& sql, ExecStatusType expected);
  void end_copy_in();
  /// Next row of COPY TO into `row`; false at the end.
  bool next_copied_row(std::string& row);
  void put_copied_row(const std::string& row);
  [[noreturn]] void fail(const PGresult* result);
  [[noreturn]] void fail_connection(const std::string& what);

  Session& session_;
  std::string label_;
  std::string dsn_;
  Conninfo conninfo_;
  Handle handle_;
  std::unique_ptr<Connection> watcher_;
  /// False for a watcher itself, and until the connection is ready.
  bool watched_ = false;
  bool reported_ = false;
  milliseconds watch_period_{1000};
  std::size_t unflushed_ = 0;
};

}  // namespace meridian::pg::setup
