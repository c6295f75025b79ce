// A connection to Redis that is made again when it was lost. Commands and their answers; no events.
#pragma once

#include <hiredis/hiredis.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "sink/options.hpp"

namespace meridian::sink {

class RedisConnection {
 public:
  struct FreeReply {
    void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
  };
  using Reply = std::unique_ptr<redisReply, FreeReply>;

  /// Of the options host, port, username, password and database.
  explicit RedisConnection(const Options& options);

  /// Connects, if it is not connected; then `is_new` is true. Returns false, and why, if it cannot.
  bool connect(std::string* failure, bool* is_new);
  /// Sends a command and waits for its answer; none if the connection was lost.
  Reply command(std::initializer_list<std::string_view> words);
  /// Sends a command; read() reads its answer.
  void send(const std::string_view* words, std::size_t count);
  Reply read();
  /// Ends the connection, and says why it was of no use.
  std::string lose();
  /// Whether the reply is there and no error; else ends the connection.
  bool check(const Reply& reply, const char* what, std::string* failure);

 private:
  struct Free {
    void operator()(redisContext* context) const noexcept { redisFree(context); }
  };

  std::string host_;
  int port_;
  std::string user_;
  std::string password_;
  std::int64_t database_;
  std::unique_ptr<redisContext, Free> context_;
};

/// The position of a change as text that is compared as text. Later generations are later (resnapshot.hpp).
[[nodiscard]] std::string redis_version(std::uint64_t version, std::uint64_t index);

}  // namespace meridian::sink
