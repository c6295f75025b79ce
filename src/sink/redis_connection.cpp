#include "sink/redis_connection.hpp"

#include <array>
#include <cstdio>

namespace meridian::sink {

RedisConnection::RedisConnection(const Options& options)
    : host_(options.require("host")),
      port_(static_cast<int>(options.number("port", 6379, 1, 65535))),
      user_(options.get("username", "")),
      password_(options.get("password", "")),
      database_(options.number("database", 0, 0, 1'000'000)) {}

bool RedisConnection::connect(std::string* failure, bool* is_new) {
  *is_new = context_ == nullptr;
  if (!*is_new) return true;
  const timeval patience{2, 0};
  context_.reset(host_.starts_with('/') ? redisConnectUnixWithTimeout(host_.c_str(), patience)
                                        : redisConnectWithTimeout(host_.c_str(), port_, patience));
  if (context_ == nullptr || context_->err != 0) {
    *failure = context_ == nullptr ? "out of memory" : context_->errstr;
    context_.reset();
    return false;
  }
  redisSetTimeout(context_.get(), timeval{10, 0});
  if (!host_.starts_with('/')) redisEnableKeepAlive(context_.get());
  if (!password_.empty() &&
      !check(user_.empty() ? command({"AUTH", password_}) : command({"AUTH", user_, password_}), "AUTH", failure)) {
    return false;
  }
  return database_ == 0 || check(command({"SELECT", std::to_string(database_)}), "SELECT", failure);
}

RedisConnection::Reply RedisConnection::command(std::initializer_list<std::string_view> words) {
  send(words.begin(), words.size());
  return read();
}

void RedisConnection::send(const std::string_view* words, std::size_t count) {
  constexpr std::size_t most = 16;
  std::array<const char*, most> texts{};
  std::array<std::size_t, most> sizes{};
  if (count > most) throw std::logic_error("a command of Redis with too many words");
  for (std::size_t i = 0; i < count; ++i) {
    texts[i] = words[i].data();
    sizes[i] = words[i].size();
  }
  redisAppendCommandArgv(context_.get(), static_cast<int>(count), texts.data(), sizes.data());
}

RedisConnection::Reply RedisConnection::read() {
  void* answer = nullptr;
  if (redisGetReply(context_.get(), &answer) != REDIS_OK) return nullptr;
  return Reply(static_cast<redisReply*>(answer));
}

std::string RedisConnection::lose() {
  std::string why = context_ == nullptr ? "there is no connection" : context_->errstr;
  context_.reset();
  return why;
}

bool RedisConnection::check(const Reply& reply, const char* what, std::string* failure) {
  if (reply != nullptr && reply->type != REDIS_REPLY_ERROR) return true;
  // Redis repeats what it was sent in some errors, so of AUTH nothing is shown.
  *failure = std::string(what) + " failed";
  if (reply == nullptr) {
    *failure += std::string(": ") + context_->errstr;
  } else if (password_.empty()) {
    *failure += ": " + std::string(reply->str, reply->len);
  }
  context_.reset();
  return false;
}

std::string redis_version(std::uint64_t version, std::uint64_t index) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(version),
                static_cast<unsigned long long>(index));
  return text;
}

}  // namespace meridian::sink
