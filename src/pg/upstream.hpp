// The connection of a standby's worker to the server that it streams from. Core lane: C++ objects and exceptions, and
// no PostgreSQL call but the wait on the latch. A worker that is told to stop ends in such a wait.
#pragma once

#include <libpq-fe.h>

#include "pg/session_requests.hpp"
#include "pg/setup/conninfo.hpp"

namespace meridian::pg {

/// `meridian.primary_dsn`; empty: primary_conninfo and `meridian.database`.
extern char* primary_dsn;

/// Why the primary could not be asked: a text without secrets.
class UpstreamError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Upstream {
 public:
  Upstream() : connection_(nullptr, PQfinish) {}

  /// Asks where the sessions wrote last; one answer per key. Connects first if it must, and once more if a connection
  /// turns out to be dead. Every wait is bounded. Throws UpstreamError.
  std::vector<SessionPosition> ask(const SessionKey* keys, int count);
  /// The next question connects anew.
  void close() noexcept { connection_.reset(); }

 private:
  using Clock = std::chrono::steady_clock;
  using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

  void connect();
  Result query(const char* sql, const char* parameter);
  void wait(int events, Clock::time_point deadline, const char* for_what) const;
  [[noreturn]] void fail(std::string reason) const;

  setup::Handle connection_;
  std::optional<setup::Conninfo> conninfo_;
};

}  // namespace meridian::pg
