// The worker as its core lane sees it: the request, waiting, and talking to the caller.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "pg/setup/error.hpp"
#include "pg/setup/job.hpp"

namespace meridian::pg::setup {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// The request, decoded.
struct Request {
  Task task = Task::create_node;
  Oid database = InvalidOid;
  Oid relation = InvalidOid;
  std::int64_t server_start_us = 0;  ///< since the Unix epoch
  std::string system_id;
  int lock_timeout_ms = 0;
  bool caller_is_superuser = false;
  std::string caller;
  std::vector<std::string> arguments;
};

/// One per worker. Throws Stopped from its waits once the worker was told to stop, except under a Shield.
class Session {
 public:
  /// `queue`: to the caller; null if there is none to tell.
  Session(Request request, shm_mq_handle* queue) : request_(std::move(request)), queue_(queue) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] const Request& request() const noexcept { return request_; }

  enum class Direction { read, write, both };
  /// Waits until the socket is ready, the time is over or a signal has come; does not say which.
  void wait_socket(int socket, Direction direction, milliseconds timeout);
  /// Waits for the time to pass or a signal. For polling a remote state that nothing announces.
  void pause(milliseconds timeout);

  /// Tells the caller what is being waited for; empty: nothing any more.
  void waiting_for(const std::string& what);
  [[nodiscard]] const std::string& last_waiting() const noexcept { return last_waiting_; }
  void warn(const std::string& message, const std::string& detail = {}, const std::string& hint = {});
  /// Sends one row of the result.
  void put_row(std::initializer_list<std::string_view> texts) { send(Message::row, texts); }
  void finish(const std::string& result);
  void fail(const SetupError& error);

 private:
  friend class Shield;
  void check_stop() const;
  void send(Message kind, std::initializer_list<std::string_view> texts);

  Request request_;
  shm_mq_handle* queue_;
  std::string last_waiting_;
  bool shielded_ = false;
  Clock::time_point shield_ends_;
};

/// While one lives, the work goes on although the worker was told to stop: for undoing, and not for longer than a
/// while.
class Shield {
 public:
  Shield(Session& session, milliseconds longest) : session_(session), outer_(session.shielded_) {
    session_.shielded_ = true;
    session_.shield_ends_ = Clock::now() + longest;
  }
  ~Shield() { session_.shielded_ = outer_; }
  Shield(const Shield&) = delete;
  Shield& operator=(const Shield&) = delete;

 private:
  Session& session_;
  bool outer_;
};

}  // namespace meridian::pg::setup
