#include "sink/source.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "core/dsn.hpp"

namespace meridian::sink {
namespace {

using namespace std::chrono_literals;

constexpr auto status_interval = 1s;
constexpr auto patience_for_slot = 10s;
constexpr std::string_view object_in_use = "55006";
constexpr auto news_interval = 100ms;
constexpr const char* message_bytes = "32768";  // one system call for some dozens of events, at both ends
constexpr std::int64_t postgres_epoch_us = 946'684'800'000'000;  // 2000-01-01
constexpr std::size_t header_size = 25;                          // 'w', start, end of WAL, time
constexpr std::size_t keepalive_size = 18;                       // 'k', end of WAL, time, whether to reply

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
  plugin["message_bytes"] = message_bytes;
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

std::string connection_extra(const std::string& sink) {
  std::string extra = "replication=database";
  append_dsn_keyword(extra, "application_name", "meridian sink " + sink);
  return extra;
}

}  // namespace

SourceError failure_of(PGconn* connection, const PGresult* result) {
  const char* const state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* const primary = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char* const hint = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
  std::string message = primary != nullptr ? primary : PQerrorMessage(connection);
  if (hint != nullptr) message += std::string(" (") + hint + ")";
  return {message, state == nullptr ? "" : state};
}

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
    : most_events_(options.batch_events),
      most_bytes_(options.batch_bytes),
      connection_(connect(options.dsn, connection_extra(options.name))) {
  const std::string command = start_command(options, after);
  // A server process that served a program that was killed takes a moment to notice.
  for (const auto until = Clock::now() + patience_for_slot;; std::this_thread::sleep_for(100ms)) {
    const Result result(PQexec(connection_.get(), command.c_str()));
    if (PQresultStatus(result.get()) == PGRES_COPY_BOTH) break;
    SourceError error = failure_of(connection_.get(), result.get());
    if (error.sqlstate != object_in_use || Clock::now() >= until) throw error;
  }
  next_status_ = Clock::now() + status_interval;
  reader_ = std::thread([this] { run(); });
}

Source::~Source() {
  ending_ = true;
  room_.notify_all();
  reader_.join();
}

std::optional<SinkEvent> Source::next(Clock::time_point deadline) {
  if (ready_.empty()) {
    std::unique_lock lock(mutex_);
    news_.wait_until(lock, deadline, [this] { return !queue_.empty() || failure_ != nullptr; });
    if (queue_.empty()) {
      if (failure_ != nullptr) std::rethrow_exception(failure_);
      idle_position_ = read_up_to_;
      return std::nullopt;
    }
    ready_.swap(queue_);
    queue_bytes_ = 0;
    room_.notify_all();
  }
  SinkEvent event = std::move(ready_.front());
  ready_.pop_front();
  return event;
}

void Source::check() {
  const std::lock_guard lock(mutex_);
  if (failure_ != nullptr) std::rethrow_exception(failure_);
}

void Source::run() {
  try {
    while (!ending_) {
      send_status_if_due();
      if (wait_for_room()) read_message();
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    news_.notify_all();
  }
}

/// False if there is none yet.
bool Source::wait_for_room() {
  std::unique_lock lock(mutex_);
  return room_.wait_for(lock, news_interval,
                        [this] { return ending_ || (queue_.size() < most_events_ && queue_bytes_ < most_bytes_); });
}

void Source::read_message() {
  char* buffer = nullptr;
  const int size = PQgetCopyData(connection_.get(), &buffer, 1);
  const std::unique_ptr<char, void (*)(void*)> owner(buffer, PQfreemem);
  if (size > 0) return take({buffer, static_cast<std::size_t>(size)});
  if (size < 0) {
    const Result result(PQgetResult(connection_.get()));
    throw failure_of(connection_.get(), result.get());
  }
  wait_for_server();
}

void Source::take(std::string_view message) {
  if (message.front() == 'k' && message.size() >= keepalive_size) {
    asked_ = asked_ || message[keepalive_size - 1] != 0;
    const std::lock_guard lock(mutex_);
    read_up_to_ = std::max(read_up_to_, get64(message.data() + 1));
  } else if (message.front() == 'w' && message.size() >= header_size) {
    queue_events(message.substr(header_size));
  }
}

void Source::queue_events(std::string_view frames) {
  const auto copy = [](const std::optional<std::string_view>& part) {
    return part ? std::optional<std::string>(*part) : std::nullopt;
  };
  std::deque<SinkEvent> events;
  std::size_t bytes = 0;
  while (!frames.empty()) {
    const auto frame = cdc::take_event(&frames);
    if (!frame) throw SourceError("the output plugin sent something that is not an event", "08P01");
    events.push_back({frame->position, frame->end_lsn, std::string(frame->topic), copy(frame->key), copy(frame->value),
                      copy(frame->headers)});
    bytes += events.back().size();
  }
  const std::lock_guard lock(mutex_);
  std::move(events.begin(), events.end(), std::back_inserter(queue_));
  queue_bytes_ += bytes;
  news_.notify_all();
}

void Source::send_status_if_due() {
  const std::uint64_t confirmed = confirmed_;
  if (confirmed != told_) next_status_ = std::min(next_status_, Clock::now() + news_interval);
  if (!asked_ && Clock::now() < next_status_) return;
  std::array<char, 34> message{};
  message[0] = 'r';
  put64(&message[1], confirmed);
  put64(&message[9], confirmed);
  put64(&message[17], confirmed);
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  put64(&message[25], static_cast<std::uint64_t>(now - postgres_epoch_us));
  if (PQputCopyData(connection_.get(), message.data(), message.size()) != 1 || PQflush(connection_.get()) < 0) {
    throw failure_of(connection_.get(), nullptr);
  }
  told_ = confirmed;
  next_status_ = Clock::now() + status_interval;
  asked_ = false;
}

/// As long as nobody can have anything to tell the server.
void Source::wait_for_server() {
  pollfd socket{PQsocket(connection_.get()), POLLIN, 0};
  if (poll(&socket, 1, static_cast<int>(std::chrono::milliseconds(news_interval).count())) < 0 && errno != EINTR) {
    throw SourceError(std::string("poll: ") + std::strerror(errno), "");
  }
  if (PQconsumeInput(connection_.get()) == 0) throw failure_of(connection_.get(), nullptr);
}

}  // namespace meridian::sink
