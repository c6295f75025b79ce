// The stream of events from a logical slot, over libpq's replication protocol.
//
// A thread reads ahead while a batch is delivered, as much as a batch; then the WAL is the buffer. It alone uses the
// connection, once that is made, and keeps it alive whatever the target does. What the two threads share is guarded by
// `mutex_`, except the two atomics.
//
// The slot keeps WAL until the position that was confirmed. confirm() only remembers; it is told to the server with the
// next status message, at the latest after `status_interval`, or when the server asks.
#pragma once

#include <libpq-fe.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

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

/// What the server says of a statement that failed, with its hint; without a result, what libpq says of the connection.
[[nodiscard]] SourceError failure_of(PGconn* connection, const PGresult* result);

class Source {
 public:
  using Clock = std::chrono::steady_clock;

  /// Starts behind `after`, if there is a position.
  Source(const Options& options, const std::optional<cdc::Position>& after);
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source();

  /// The next event, or nothing when none came until `deadline`. Throws SourceError.
  std::optional<SinkEvent> next(Clock::time_point deadline);
  /// Everything up to here is where it belongs.
  void confirm(std::uint64_t lsn) noexcept { confirmed_ = std::max<std::uint64_t>(confirmed_, lsn); }
  /// How far the server had read when next() found nothing: when all events before are where they belong, all up to
  /// there is done.
  [[nodiscard]] std::uint64_t read_up_to() const noexcept { return idle_position_; }
  /// Throws SourceError if the connection was lost.
  void check();

 private:
  // The reading thread.
  void run();
  bool wait_for_room();
  void read_message();
  void take(std::string_view message);
  void queue_events(std::string_view frames);
  void send_status_if_due();
  void wait_for_server();

  const std::size_t most_events_;
  const std::size_t most_bytes_;
  Connection connection_;
  std::uint64_t told_ = 0;  ///< to the server
  Clock::time_point next_status_;
  bool asked_ = false;

  std::atomic<std::uint64_t> confirmed_ = 0;
  std::atomic<bool> ending_ = false;

  std::mutex mutex_;
  std::condition_variable news_;  ///< for next()
  std::condition_variable room_;  ///< for the reading thread
  std::deque<SinkEvent> queue_;
  std::size_t queue_bytes_ = 0;
  std::uint64_t read_up_to_ = 0;  ///< by the server, behind the events in the queue
  std::exception_ptr failure_;

  // The thread that calls next().
  std::deque<SinkEvent> ready_;
  std::uint64_t idle_position_ = 0;

  std::thread reader_;
};

}  // namespace meridian::sink
