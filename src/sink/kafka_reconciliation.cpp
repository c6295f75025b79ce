// Reads the topics back, partition by partition, from the beginning to the end. A key whose last message is from before
// the rows were delivered again, and no tombstone, is one that the database does not have: it gets the event of its
// DELETE, and a tombstone. All messages of a key are in one partition, so a partition is looked at by itself.
//
// A partition ends where it ended when the step began, and the events are delivered before anything else is: so what
// was written meanwhile has been read, and no key gets an event that was written anew. mark_kafka() has remembered the
// offsets by which older is told from newer; time stamps are those of different machines.
//
// Keys are kept in memory until their partition ends, up to a bound.
#include <librdkafka/rdkafka.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/sink_document.hpp"
#include "sink/kafka_settings.hpp"
#include "sink/reconciliation.hpp"

namespace meridian::sink {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr int patience_ms = 3000;
constexpr int poll_ms = 100;
constexpr auto step_time = std::chrono::seconds(1);
constexpr std::size_t most_bytes = std::size_t{64} << 20;  ///< of keys of one partition
constexpr std::size_t bytes_beside_key = 64;
constexpr std::size_t keys_at_once = 250;

struct Deleter {
  void operator()(rd_kafka_t* client) const noexcept {
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
  }
  void operator()(rd_kafka_topic_t* topic) const noexcept { rd_kafka_topic_destroy(topic); }
  void operator()(const rd_kafka_metadata_t* metadata) const noexcept { rd_kafka_metadata_destroy(metadata); }
  void operator()(rd_kafka_message_t* message) const noexcept { rd_kafka_message_destroy(message); }
  void operator()(rd_kafka_topic_partition_list_t* list) const noexcept { rd_kafka_topic_partition_list_destroy(list); }
};
template <typename T>
using Owned = std::unique_ptr<T, Deleter>;

class Reader {
 public:
  explicit Reader(const Options& options)
      : client_(make_kafka_client(options, RD_KAFKA_CONSUMER,
                                  {{{"group.id", "meridian-sink-" + options.name},
                                    {"enable.auto.commit", "false"},
                                    {"enable.partition.eof", "true"},
                                    {"isolation.level", "read_committed"},
                                    {"auto.offset.reset", "earliest"},
                                    {"allow.auto.create.topics", "false"},
                                    {"queued.max.messages.kbytes", "8192"}},
                                   nullptr,
                                   &complaint_})) {
    rd_kafka_poll_set_consumer(client_.get());
  }

  /// 0: there is no such topic.
  int partitions(const std::string& name) {
    const Owned<rd_kafka_topic_t> topic(rd_kafka_topic_new(client_.get(), name.c_str(), nullptr));
    const rd_kafka_metadata_t* answer = nullptr;
    check(rd_kafka_metadata(client_.get(), 0, topic.get(), &answer, patience_ms), name);
    const Owned<const rd_kafka_metadata_t> metadata(answer);
    if (metadata->topic_cnt != 1) throw std::runtime_error("the broker's answer about a topic is not understood");
    const rd_kafka_metadata_topic_t& found = metadata->topics[0];
    if (found.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return 0;
    check(found.err, name);
    return found.partition_cnt;
  }

  struct Offsets {
    std::int64_t first = 0;
    std::int64_t end = 0;
  };
  Offsets offsets(const std::string& topic, int partition) {
    Offsets found;
    check(rd_kafka_query_watermark_offsets(client_.get(), topic.c_str(), partition, &found.first, &found.end,
                                           patience_ms),
          topic);
    return found;
  }

  void begin(const std::string& topic, int partition) {
    const Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
    check(rd_kafka_assign(client_.get(), list.get()), topic);
  }

  /// A message, or the end of the partition, or nothing for now.
  Owned<rd_kafka_message_t> next() {
    Owned<rd_kafka_message_t> message(rd_kafka_consumer_poll(client_.get(), poll_ms));
    if (message != nullptr && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) check(message->err, "reading back");
    return message;
  }

 private:
  static void check(rd_kafka_resp_err_t error, const std::string& what) {
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(what + ": " + rd_kafka_err2str(error));
  }

  std::string complaint_;
  Owned<rd_kafka_t> client_;
};

class KafkaReconciliation final : public Reconciliation {
 public:
  KafkaReconciliation(const Options& options, const ReconciliationTask& task)
      : reader_(options), tables_(task.tables), since_(task.since) {
    const auto tombstones = options.plugin.find("tombstones");
    has_tombstones_ =
        tombstones == options.plugin.end() || (tombstones->second != "false" && tombstones->second != "off");
    const auto mark = Json::parse(task.mark, nullptr, false);
    if (!mark.is_object()) throw ReconciliationError("where the topics ended is not known");
    for (const auto& [topic, ends] : mark.items()) {
      if (const int now = reader_.partitions(topic); !ends.empty() && now != static_cast<int>(ends.size())) {
        throw ReconciliationError("topic \"" + topic + "\" has got another number of partitions");
      }
      for (std::size_t partition = 0; partition < ends.size(); ++partition)
        parts_.push_back({topic, static_cast<int>(partition), ends[partition].get<std::int64_t>()});
    }
  }

  Found step(const Idle& idle) override {
    if (place_ == parts_.size()) return {0, {}, true};
    const Part& part = parts_[place_];
    const auto offsets = reader_.offsets(part.topic, part.partition);
    if (!is_reading_) {
      if (offsets.first >= part.mark) {  // nothing older is left
        ++place_;
        return {};
      }
      reader_.begin(part.topic, part.partition);
      is_reading_ = true;
    }
    read(part, offsets.end, idle);
    Found found;
    if (end_ < offsets.end) return found;
    found = take_some(part);
    if (keys_.empty()) {
      ++place_;
      is_reading_ = false;
      end_ = 0;
    }
    return found;
  }

 private:
  struct Part {
    std::string topic;
    int partition;
    std::int64_t mark;  ///< the first offset of what is newer
  };

  void read(const Part& part, std::int64_t end, const Idle& idle) {
    for (const auto until = Clock::now() + step_time; end_ < end && Clock::now() < until;) {
      const auto message = reader_.next();
      if (message == nullptr) {
        if (!idle()) return;
      } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        end_ = message->offset;
      } else if (message->key != nullptr) {
        note(part, *message);
      }
    }
  }

  void note(const Part& part, const rd_kafka_message_t& message) {
    std::string key(static_cast<const char*>(message.key), message.key_len);
    const std::size_t size = key.size() + bytes_beside_key;
    if (message.payload == nullptr || message.offset >= part.mark) {
      if (keys_.erase(key) > 0) bytes_ -= size;
      return;
    }
    if (!keys_.insert(std::move(key)).second) return;
    bytes_ += size;
    if (bytes_ > most_bytes) {
      throw ReconciliationError("a partition of topic \"" + part.topic + "\" has more keys than fit into memory (" +
                                std::to_string(most_bytes >> 20) + " MB)");
    }
  }

  Found take_some(const Part& part) {
    Found found;
    while (!keys_.empty() && found.removed < keys_at_once) {
      auto node = keys_.extract(keys_.begin());
      bytes_ -= node.value().size() + bytes_beside_key;
      if (append(part, std::move(node.value()), &found.events)) ++found.removed;
    }
    return found;
  }

  /// False if it is not the key of one of our tables.
  bool append(const Part& part, std::string key, std::vector<SinkEvent>* events) {
    for (const SinkTable& table : tables_) {
      if (table.topic != part.topic || !table.key_row || !is_key_of(key, *table.key_row)) continue;
      SinkEvent event{{since_ - 1, 0, index_++}, 0, part.topic, std::move(key), std::nullopt, std::nullopt};
      event.value = deletion_event(table.truncation, table.old_row, *event.key);
      events->push_back(event);
      if (!has_tombstones_) return true;
      event.value.reset();
      event.position.index = index_++;
      events->push_back(std::move(event));
      return true;
    }
    return false;
  }

  Reader reader_;
  std::vector<SinkTable> tables_;
  std::uint64_t since_;
  bool has_tombstones_ = true;
  std::vector<Part> parts_;
  std::size_t place_ = 0;
  bool is_reading_ = false;
  std::int64_t end_ = 0;  ///< where the partition ended when it was read to the end last
  std::unordered_set<std::string> keys_;
  std::size_t bytes_ = 0;
  std::uint64_t index_ = 0;
};

}  // namespace

std::string mark_kafka(const Options& options, const std::vector<SinkTable>& tables) {
  Reader reader(options);
  Json mark = Json::object();
  for (const SinkTable& table : tables) {
    if (mark.contains(table.topic)) continue;
    Json ends = Json::array();
    const int count = reader.partitions(table.topic);
    for (int partition = 0; partition < count; ++partition) ends.push_back(reader.offsets(table.topic, partition).end);
    mark[table.topic] = std::move(ends);
  }
  return mark.dump();
}

std::unique_ptr<Reconciliation> make_kafka_reconciliation(const Options& options, const ReconciliationTask& task) {
  return std::make_unique<KafkaReconciliation>(options, task);
}

}  // namespace meridian::sink
