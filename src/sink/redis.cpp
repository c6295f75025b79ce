// Redis, or what speaks its protocol: the row under a key, `SET key json EX ttl`, and `DEL` when it is gone; or only
// DEL, so that readers load it anew (mode = invalidate).
//
// Events come again after a crash, oldest first, and must not bring back an old value. So beside each key the position
// of the change that it holds is kept for `guard_ttl` seconds, and a script writes only what is not older. The name of
// the guard has the key in braces: in a cluster both are in one slot.
//
// Commands are sent together and answered together. A connection that fails is made again by the next call; what had
// been carried out by then is carried out twice, which the guard makes harmless.
#include <array>
#include <vector>

#include "core/sink_document.hpp"
#include "sink/reconciliation.hpp"
#include "sink/redis_connection.hpp"

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

using Reply = RedisConnection::Reply;

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
      : options_(options),
        connection_(options),
        version_base_(options.version_base()),
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
    guard_s_ = std::to_string(guard_ttl_);
  }

  void deliver(std::span<const SinkEvent* const> events, std::span<Outcome> outcomes, const Idle&) override {
    std::string failure;
    if (!connect(&failure)) return give_up(outcomes, failure);
    std::vector<Outcome*> sent;
    for (std::size_t i = 0; i < events.size(); ++i) {
      if (append(*events[i], &outcomes[i])) sent.push_back(&outcomes[i]);
    }
    for (Outcome* const outcome : sent) {
      const Reply reply = connection_.read();
      if (reply == nullptr) return lose(outcomes);
      judge(reply, outcome);
    }
  }

  // Guards are what a reconciliation tells older from newer by.
  void keep_marks(bool keeps) override {
    guard_s_ = std::to_string(keeps ? std::max(guard_ttl_, longest_reconciliation_s) : guard_ttl_);
  }

  std::optional<std::string> mark(const std::vector<SinkTable>&) override { return std::string(); }

  std::unique_ptr<Reconciliation> reconcile(const ReconciliationTask& task) override {
    return make_redis_reconciliation(options_, task);
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
    const std::string version = redis_version(version_base_ + event.position.commit_lsn, event.position.index);
    const std::string guard = "meridian:{" + *key + "}";
    const std::string ttl = std::to_string(ttl_);
    // A row with gaps is taken out as well: who misses it loads it whole.
    const bool removes = invalidate_ || row->op == 'd' || has_gap(row->after);
    const std::string_view value = whole_event_ ? std::string_view(*event.value) : row->after;
    const std::array<std::string_view, 9> words{"EVALSHA", script_, "2", *key, guard, version, guard_s_, ttl, value};
    connection_.send(words.data(), words.size() - (removes ? 1 : 0));
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

  bool connect(std::string* failure) {
    bool is_new = false;
    if (!connection_.connect(failure, &is_new)) return false;
    if (is_new) script_.clear();
    if (!script_.empty()) return true;
    const Reply loaded = connection_.command({"SCRIPT", "LOAD", script});
    if (!connection_.check(loaded, "SCRIPT LOAD", failure)) return false;
    script_.assign(loaded->str, loaded->len);
    return true;
  }

  static void give_up(std::span<Outcome> outcomes, const std::string& failure) {
    for (Outcome& outcome : outcomes) outcome = {Outcome::Kind::retry, failure};
  }

  void lose(std::span<Outcome> outcomes) {
    const std::string failure = connection_.lose();
    for (Outcome& outcome : outcomes) {
      if (outcome.kind == Outcome::Kind::retry) outcome.reason = failure;
    }
  }

  const Options& options_;
  RedisConnection connection_;
  std::uint64_t version_base_;
  std::int64_t ttl_;
  std::int64_t guard_ttl_;
  std::string guard_s_;  ///< how long guards are kept now
  NameTemplate key_;
  bool invalidate_ = false;
  bool whole_event_ = false;
  std::string script_;  ///< its name at the server; empty: to be loaded
};

}  // namespace

std::unique_ptr<Target> make_redis_target(const Options& options) { return std::make_unique<RedisTarget>(options); }

}  // namespace meridian::sink
