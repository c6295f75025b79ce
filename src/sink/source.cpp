#include "sink/source.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

namespace meridian::sink {
namespace {

using namespace std::chrono_literals;

constexpr auto status_interval = 1s;
constexpr auto patience_for_slot = 10s;
constexpr std::string_view object_in_use = "55006";
constexpr auto news_interval = 100ms;
constexpr std::int64_t postgres_epoch_us = 946'684'800'000'000;  // 2000-01-01
constexpr int header_size = 25;                                  // 'w', start, end of WAL, time
constexpr int keepalive_size = 18;                               // 'k', end of WAL, time, whether to reply

void put64(char* to, std::uint64_t value) {
  for (int i = 7; i >= 0; --i, value >>= 8) to[i] = static_cast<char>(value & 0xFF);
}

std::uint64_t get64(const char* from) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(from[i]);
  return value;
}

std::string quoted(const std::string& text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += c;
    out += c;
  }
  return out + quote;
}

std::string start_command(const Options& options, const std::optional<cdc::Position>& after) {
  auto plugin = options.plugin;
  plugin["format"] = "event";
  plugin["watermarks"] = options.name;
  if (after) {
    cdc::Buffer text;
    cdc::write_position(text, *after);
    plugin["after"] = text.view();
  }
  std::string list;
  for (const auto& [name, value] : plugin)
    list += (list.empty() ? "" : ", ") + quoted(name, '"') + " " + quoted(value, '\'');
  return "START_REPLICATION SLOT " + quoted(options.slot, '"') + " LOGICAL 0/0 (" + list + ")";
}

SourceError failure_of(PGconn* connection, const PGresult* result) {
  const char* const state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* const primary = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char* const hint = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
  std::string message = primary != nullptr ? primary : PQerrorMessage(connection);
  if (hint != nullptr) message += std::string(" (") + hint + ")";
  return {message, state == nullptr ? "" : state};
}

}  // namespace

Connection connect(const std::string& dsn, const std::string& extra) {
  // Later keywords win; these are the least that keeps a dead peer from holding the program.
  const std::string all =
      dsn + " connect_timeout=10 keepalives=1 keepalives_idle=30 keepalives_interval=10 tcp_user_timeout=30000 " +
      extra;
  Connection connection(PQconnectdb(all.c_str()));
  if (connection == nullptr) throw std::bad_alloc();
  if (PQstatus(connection.get()) != CONNECTION_OK) throw SourceError(PQerrorMessage(connection.get()), "");
  return connection;
}

Source::Source(const Options& options, const std::optional<cdc::Position>& after)
    : connection_(connect(options.dsn,
                          "replication=database application_name=" + quoted("meridian sink " + options.name, '\''))) {
  const std::string command = start_command(options, after);
  // A server process that served a program that was killed takes a moment to notice.
  for (const auto until = Clock::now() + patience_for_slot;; std::this_thread::sleep_for(100ms)) {
    const Result result(PQexec(connection_.get(), command.c_str()));
    if (PQresultStatus(result.get()) == PGRES_COPY_BOTH) break;
    SourceError error = failure_of(connection_.get(), result.get());
    if (error.sqlstate != object_in_use || Clock::now() >= until) throw error;
  }
  next_status_ = Clock::now() + status_interval;
}

void Source::confirm(std::uint64_t lsn) noexcept {
  if (lsn <= confirmed_) return;
  confirmed_ = lsn;
  next_status_ = std::min(next_status_, Clock::now() + news_interval);
}

// Reads nothing: what is read has to be kept, and this is called while the target takes nothing.
void Source::keep_alive() {
  if (asked_ || Clock::now() >= next_status_) send_status();
}

void Source::send_status() {
  std::array<char, 34> message{};
  message[0] = 'r';
  put64(&message[1], confirmed_);
  put64(&message[9], confirmed_);
  put64(&message[17], confirmed_);
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  put64(&message[25], static_cast<std::uint64_t>(now - postgres_epoch_us));
  if (PQputCopyData(connection_.get(), message.data(), message.size()) != 1 || PQflush(connection_.get()) < 0) {
    throw failure_of(connection_.get(), nullptr);
  }
  next_status_ = Clock::now() + status_interval;
  asked_ = false;
}

std::optional<SinkEvent> Source::next(Clock::time_point deadline) {
  for (;;) {
    char* buffer = nullptr;
    const int size = PQgetCopyData(connection_.get(), &buffer, 1);
    const std::unique_ptr<char, void (*)(void*)> owner(buffer, PQfreemem);
    if (size > 0) {
      if (auto event = take(buffer, size)) return event;
      continue;
    }
    if (size < 0) {
      const Result result(PQgetResult(connection_.get()));
      throw failure_of(connection_.get(), result.get());
    }
    keep_alive();
    if (Clock::now() >= deadline) return std::nullopt;
    wait(std::min(deadline, next_status_));
  }
}

std::optional<SinkEvent> Source::take(char* message, int size) {
  if (*message == 'k' && size >= keepalive_size) {
    read_up_to_ = std::max(read_up_to_, get64(message + 1));
    asked_ = asked_ || message[keepalive_size - 1] != 0;
    return std::nullopt;
  }
  if (*message != 'w' || size < header_size) return std::nullopt;
  const auto frame = cdc::decode_event({message + header_size, static_cast<std::size_t>(size - header_size)});
  if (!frame) throw SourceError("the output plugin sent something that is not an event", "08P01");
  const auto copy = [](const std::optional<std::string_view>& part) {
    return part ? std::optional<std::string>(*part) : std::nullopt;
  };
  return SinkEvent{frame->position,  frame->end_lsn,     std::string(frame->topic),
                   copy(frame->key), copy(frame->value), copy(frame->headers)};
}

void Source::wait(Clock::time_point deadline) {
  pollfd socket{PQsocket(connection_.get()), POLLIN, 0};
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  // Interrupted by a signal: who called looks whether that was one to end.
  if (poll(&socket, 1, static_cast<int>(std::max<std::int64_t>(left, 0) + 1)) < 0 && errno != EINTR) {
    throw SourceError(std::string("poll: ") + std::strerror(errno), "");
  }
  if (PQconsumeInput(connection_.get()) == 0) throw failure_of(connection_.get(), nullptr);
}

}  // namespace meridian::sink
