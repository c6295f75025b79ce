// SCAN over the names that the tables' rows have; whose guard is new is left alone, and of the others those are removed
// whose value is a row that has this name. In mode `invalidate` values are not ours: all such names are removed, which
// says no more than that who reads them loads them anew.
//
// Removing leaves a guard of this generation, so that nothing of an earlier one comes back.
#include <array>

#include "core/sink_document.hpp"
#include "sink/reconciliation.hpp"
#include "sink/redis_connection.hpp"

namespace meridian::sink {
namespace {

using Reply = RedisConnection::Reply;

constexpr std::string_view page = "500";

constexpr long long was_removed = 1;
constexpr long long is_old = 2;

/// 0: it is new, and its guard is kept as long as is usual from now on.
constexpr std::string_view script =
    "local seen = redis.call('GET', KEYS[2]) "
    "if seen and seen >= ARGV[1] then redis.call('EXPIRE', KEYS[2], ARGV[2]) return 0 end "
    "if ARGV[3] == 'look' then return 2 end "
    "redis.call('DEL', KEYS[1]) "
    "redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2]) "
    "return 1";

class RedisReconciliation final : public Reconciliation {
 public:
  RedisReconciliation(const Options& options, const ReconciliationTask& task)
      : connection_(options),
        key_(options.get("key", "{table}:{key}")),
        version_(redis_version(task.version, 0)),
        guard_s_(std::to_string(options.number("guard_ttl", 86'400, 1, 1'000'000'000))),
        invalidates_(options.get("mode", "set") == "invalidate"),
        whole_event_(options.get("value", "row") == "event") {
    for (const SinkTable& table : task.tables) {
      if (!table.key_row) continue;
      const std::string pattern = key_.pattern({"", table.table, table.schema, table.topic}, '\\');
      if (invalidates_ && pattern == "*") {
        throw ReconciliationError("option \"key\" does not tell the keys of this sink from others");
      }
      tables_.push_back(table);
      patterns_.push_back(pattern);
    }
  }

  Found step(const Idle&) override {
    if (place_ == patterns_.size()) return {0, {}, true};
    std::string failure;
    bool is_new = false;
    if (!connection_.connect(&failure, &is_new)) throw std::runtime_error(failure);
    const Reply reply = ask({"SCAN", cursor_, "MATCH", patterns_[place_], "COUNT", page}, "SCAN");
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[1]->type != REDIS_REPLY_ARRAY) {
      throw std::runtime_error("the answer to SCAN is not understood");
    }
    std::vector<std::string> names;
    for (std::size_t i = 0; i < reply->element[1]->elements; ++i) {
      const redisReply* const name = reply->element[1]->element[i];
      names.emplace_back(name->str, name->len);
    }
    std::erase_if(names, [](const std::string& name) { return name.starts_with("meridian:{"); });
    Found found;
    found.removed = remove_gone(names);
    cursor_.assign(reply->element[0]->str, reply->element[0]->len);
    if (cursor_ == "0") ++place_;
    return found;
  }

 private:
  Reply ask(std::initializer_list<std::string_view> words, const char* what) {
    Reply reply = connection_.command(words);
    std::string failure;
    if (!connection_.check(reply, what, &failure)) throw std::runtime_error(failure);
    return reply;
  }

  std::uint64_t remove_gone(const std::vector<std::string>& names) {
    for (const std::string& name : names) send_script(name, invalidates_ ? "remove" : "look");
    std::vector<long long> verdicts;
    for (std::size_t i = 0; i < names.size(); ++i) verdicts.push_back(verdict());
    std::uint64_t removed = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (verdicts[i] == is_old && is_ours(names[i])) {
        send_script(names[i], "remove");
        verdicts[i] = verdict();
      }
      if (verdicts[i] == was_removed) ++removed;
    }
    return removed;
  }

  void send_script(const std::string& name, std::string_view what) {
    const std::string guard = "meridian:{" + name + "}";
    const std::array<std::string_view, 8> words{"EVAL", script, "2", name, guard, version_, guard_s_, what};
    connection_.send(words.data(), words.size());
  }

  long long verdict() {
    const Reply reply = connection_.read();
    std::string failure;
    if (!connection_.check(reply, "EVAL", &failure)) throw std::runtime_error(failure);
    return reply->integer;
  }

  bool is_ours(std::string_view name) {
    const Reply reply = connection_.command({"GET", name});
    if (reply == nullptr) throw std::runtime_error(connection_.lose());
    if (reply->type != REDIS_REPLY_STRING) return false;  // of another type: somebody else's
    const std::string_view value(reply->str, reply->len);
    std::string_view row = value;
    if (whole_event_) {
      const auto event = parse_changed_row(value);
      if (!event) return false;
      row = event->after;
    }
    for (const SinkTable& table : tables_) {
      const auto key = key_of_row(row, *table.key_row);
      if (key && key_.fill({*key, table.table, table.schema, table.topic}) == name) return true;
    }
    return false;
  }

  RedisConnection connection_;
  NameTemplate key_;
  std::string version_;
  std::string guard_s_;
  bool invalidates_;
  bool whole_event_;
  std::vector<SinkTable> tables_;
  std::vector<std::string> patterns_;  ///< of each
  std::size_t place_ = 0;
  std::string cursor_ = "0";
};

}  // namespace

std::unique_ptr<Reconciliation> make_redis_reconciliation(const Options& options, const ReconciliationTask& task) {
  return std::make_unique<RedisReconciliation>(options, task);
}

}  // namespace meridian::sink
