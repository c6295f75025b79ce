#include "pg/setup/session.hpp"

#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"

namespace meridian::pg::setup {
namespace {

/// One wait on the latch and perhaps a socket; glue.
void wait_latch(int socket, int events, long timeout_ms) {
  events |= WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
  const int happened = WaitLatchOrSocket(MyLatch, events, socket, timeout_ms, PG_WAIT_EXTENSION);
  if ((happened & WL_LATCH_SET) != 0) ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
}

}  // namespace

void Session::check_stop() const {
  if (!ShutdownRequestPending) return;
  if (!shielded_ || Clock::now() > shield_ends_) throw Stopped();
}

void Session::wait_socket(int socket, Direction direction, milliseconds timeout) {
  check_stop();
  const int events = (direction != Direction::write ? WL_SOCKET_READABLE : 0) |
                     (direction != Direction::read ? WL_SOCKET_WRITEABLE : 0);
  const auto timeout_ms = static_cast<long>(timeout.count());
  call([=] { wait_latch(socket, events, timeout_ms); });
  check_stop();
}

void Session::pause(milliseconds timeout) {
  check_stop();
  const auto timeout_ms = static_cast<long>(timeout.count());
  call([=] { wait_latch(PGINVALID_SOCKET, 0, timeout_ms); });
  check_stop();
}

void Session::send(Message kind, std::initializer_list<std::string_view> texts) {
  if (queue_ == nullptr) return;
  std::string message(1, static_cast<char>(kind));
  for (const std::string_view text : texts) {
    message += text;
    message += '\0';
  }
  const char* data = message.data();
  const Size size = message.size();
  shm_mq_handle* queue = queue_;
  // A caller that has gone is no error here: the worker is told to stop by signal.
  call([=] { shm_mq_send(queue, size, data, false, true); });
}

void Session::waiting_for(const std::string& what) {
  if (what == last_waiting_) return;
  last_waiting_ = what;
  send(Message::waiting, {what});
}

void Session::warn(const std::string& message, const std::string& detail, const std::string& hint) {
  send(Message::warning, {message, detail, hint});
}

void Session::finish(const std::string& result) { send(Message::result, {result}); }

void Session::fail(const SetupError& error) {
  send(Message::error, {error.sqlstate(), error.what(), error.detail(), error.hint()});
}

}  // namespace meridian::pg::setup
