// Redis, or what speaks its protocol: the row under a key, `SET key json EX ttl`, and `DEL` when it is gone; or only
// DEL, so that readers load it anew (mode = invalidate).
//
// Events come again after a crash, oldest first, and must not bring back an old value. So beside each key the position
// of the change that it holds is kept for `guard_ttl` seconds, and a script writes only what is not older. The name of
// the guard has the key in braces: in a cluster both are in one slot.
//
// Commands are sent together and answered together. A connection that fails is made again by the next call; what had
// been carried out by then is carried out twice, which the guard makes harmless.
#include <hiredis/hiredis.h>

#include <array>
#include <cstdio>
#include <vector>

#include "core/sink_document.hpp"
#include "sink/target.hpp"

namespace meridian::sink {
namespace {

constexpr const char* script =
    "local seen = redis.call('GET', KEYS[2]) "
    "if seen and seen > ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2]) "
    "if #ARGV == 3 then redis.call('DEL', KEYS[1]) "
    "elseif ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[4]) "
    "else redis.call('SET', KEYS[1], ARGV[4], 'EX', ARGV[3]) end "
    "return 1";

struct Deleter {
  void operator()(redisContext* context) const noexcept { redisFree(context); }
  void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, Deleter>;

/// In order of the stream when compared as text.
std::string version_of(const cdc::Position& position) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(position.commit_lsn),
                static_cast<unsigned long long>(position.index));
  return text;
}

bool is_passing(std::string_view error) {
  for (const std::string_view kind : {"LOADING", "BUSY", "READONLY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "OOM",
                                      "NOREPLICAS", "MISCONF", "NOSCRIPT"}) {
    if (error.starts_with(kind)) return true;
  }
  return false;
}

class RedisTarget final : public Target {
 public:
  explicit RedisTarget(const Options& options)
      : host_(options.require("host")),
        port_(static_cast<int>(options.number("port", 6379, 1, 65535))),
        user_(options.get("username", "")),
        password_(options.get("password", "")),
        database_(options.number("database", 0, 0, 1'000'000)),
        ttl_(options.number("ttl", 0, 0, 1'000'000'000)),
        guard_ttl_(options.number("guard_ttl", 86'400, 1, 1'000'000'000)),
        key_(options.get("key", "{table}:{key}")) {
    options.allow_only(
        {"host", "port", "username", "password", "database", "ttl", "guard_ttl", "key", "mode", "value"});
    const std::string mode = options.get("mode", "set");
    if (mode != "set" && mode != "invalidate") throw OptionError("option \"mode\" must be set or invalidate");
    invalidate_ = mode == "invalidate";
    const std::string value = options.get("value", "row");
    if (value != "row" && value != "event") throw OptionError("option \"value\" must be row or event");
    whole_event_ = value == "event";
  }

  void deliver(std::span<const SinkEvent* const> events, std::span<Outcome> outcomes, const Idle&) override {
    std::string failure;
    if (!connect(&failure)) return give_up(outcomes, failure);
    std::vector<Outcome*> sent;
    for (std::size_t i = 0; i < events.size(); ++i) {
      if (append(*events[i], &outcomes[i])) sent.push_back(&outcomes[i]);
    }
    for (Outcome* const outcome : sent) {
      void* answer = nullptr;
      if (redisGetReply(context_.get(), &answer) != REDIS_OK) return lose(outcomes);
      judge(Reply(static_cast<redisReply*>(answer)), outcome);
    }
  }

 private:
  bool append(const SinkEvent& event, Outcome* outcome) {
    // A tombstone follows a delete, which says the same.
    if (!event.value || !event.key) return skip(outcome);
    const auto row = parse_changed_row(*event.value);
    if (!row) return skip(outcome);
    const auto key = key_.fill({*event.key, row->table, row->schema, event.topic});
    if (!key) {
      *outcome = {Outcome::Kind::rejected, "the event's key lacks a column that option \"key\" names"};
      return false;
    }
    const std::string version = version_of(event.position);
    const std::string guard = "meridian:{" + *key + "}";
    const std::string guard_ttl = std::to_string(guard_ttl_);
    const std::string ttl = std::to_string(ttl_);
    // A row with gaps is taken out as well: who misses it loads it whole.
    const bool removes = invalidate_ || row->op == 'd' || has_gap(row->after);
    const std::string_view value = whole_event_ ? std::string_view(*event.value) : row->after;
    const std::array<std::string_view, 9> words{"EVALSHA", script_, "2", *key, guard, version, guard_ttl, ttl, value};
    const int count = static_cast<int>(words.size()) - (removes ? 1 : 0);
    std::array<const char*, words.size()> texts{};
    std::array<std::size_t, words.size()> sizes{};
    for (std::size_t i = 0; i < words.size(); ++i) {
      texts[i] = words[i].data();
      sizes[i] = words[i].size();
    }
    redisAppendCommandArgv(context_.get(), count, texts.data(), sizes.data());
    return true;
  }

  static bool skip(Outcome* outcome) {
    outcome->kind = Outcome::Kind::delivered;
    return false;
  }

  void judge(const Reply& reply, Outcome* outcome) {
    if (reply->type != REDIS_REPLY_ERROR) {
      outcome->kind = Outcome::Kind::delivered;
      return;
    }
    const std::string_view error(reply->str, reply->len);
    *outcome = {is_passing(error) ? Outcome::Kind::retry : Outcome::Kind::rejected, std::string(error)};
    if (error.starts_with("NOSCRIPT")) script_.clear();
  }

  Reply command(std::initializer_list<std::string> words) {
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const std::string& word : words) {
      texts.push_back(word.data());
      sizes.push_back(word.size());
    }
    return Reply(static_cast<redisReply*>(
        redisCommandArgv(context_.get(), static_cast<int>(words.size()), texts.data(), sizes.data())));
  }

  bool check(const Reply& reply, const char* what, std::string* failure) {
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

  bool connect(std::string* failure) {
    if (context_ == nullptr) {
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
      script_.clear();
      if (!password_.empty() &&
          !check(user_.empty() ? command({"AUTH", password_}) : command({"AUTH", user_, password_}), "AUTH", failure)) {
        return false;
      }
      if (database_ != 0 && !check(command({"SELECT", std::to_string(database_)}), "SELECT", failure)) return false;
    }
    if (!script_.empty()) return true;
    const Reply loaded = command({"SCRIPT", "LOAD", script});
    if (!check(loaded, "SCRIPT LOAD", failure)) return false;
    script_.assign(loaded->str, loaded->len);
    return true;
  }

  static void give_up(std::span<Outcome> outcomes, const std::string& failure) {
    for (Outcome& outcome : outcomes) outcome = {Outcome::Kind::retry, failure};
  }

  void lose(std::span<Outcome> outcomes) {
    const std::string failure = context_->errstr;
    context_.reset();
    for (Outcome& outcome : outcomes) {
      if (outcome.kind == Outcome::Kind::retry) outcome.reason = failure;
    }
  }

  std::string host_;
  int port_;
  std::string user_;
  std::string password_;
  std::int64_t database_;
  std::int64_t ttl_;
  std::int64_t guard_ttl_;
  NameTemplate key_;
  bool invalidate_ = false;
  bool whole_event_ = false;
  std::unique_ptr<redisContext, Deleter> context_;
  std::string script_;  ///< its name at the server; empty: to be loaded
};

}  // namespace

std::unique_ptr<Target> make_redis_target(const Options& options) { return std::make_unique<RedisTarget>(options); }

}  // namespace meridian::sink
