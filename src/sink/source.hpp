// The stream of events from a logical slot, over libpq's replication protocol.
//
// The slot keeps WAL until the position that was confirmed. confirm() only remembers; it is told to the server with the
// next status message, at the latest after `status_interval`, or when the server asks.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "sink/event.hpp"
#include "sink/options.hpp"

namespace meridian::sink {

/// The connection failed, or the server refused. `sqlstate` may be empty.
struct SourceError : std::runtime_error {
  SourceError(const std::string& message, std::string state)
      : std::runtime_error(message), sqlstate(std::move(state)) {}
  std::string sqlstate;
};

struct CloseConnection {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
struct ClearResult {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, CloseConnection>;
using Result = std::unique_ptr<PGresult, ClearResult>;

/// Connects within seconds; `extra` is added to the connection string. Throws SourceError without what is secret in it.
Connection connect(const std::string& dsn, const std::string& extra);

class Source {
 public:
  using Clock = std::chrono::steady_clock;

  /// Starts behind `after`, if there is a position.
  Source(const Options& options, const std::optional<cdc::Position>& after);

  /// The next event, or nothing when none came until `deadline`. Throws SourceError.
  std::optional<SinkEvent> next(Clock::time_point deadline);
  /// Everything up to here is where it belongs.
  void confirm(std::uint64_t lsn) noexcept;
  /// How far the server had read when it was heard of last: with nothing on its way, all up to there is done.
  [[nodiscard]] std::uint64_t read_up_to() const noexcept { return read_up_to_; }
  /// Tells the server that this end lives; to be called at least every few seconds. Reads nothing.
  void keep_alive();

 private:
  std::optional<SinkEvent> take(char* message, int size);
  void send_status();
  void wait(Clock::time_point deadline);

  Connection connection_;
  std::uint64_t confirmed_ = 0;
  std::uint64_t read_up_to_ = 0;
  Clock::time_point next_status_;
  bool asked_ = false;
};

}  // namespace meridian::sink
