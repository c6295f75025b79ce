// Kafka, through librdkafka: an idempotent producer that waits for all replicas, and for the delivery report of every
// event before it says anything.
//
// librdkafka repeats what fails, in order, for as long as it takes: an event that times out and is produced anew would
// come behind later ones of its key. So messages have no timeout. Keys go to the partition that Java's client and
// kafkajs would choose (murmur2), so that consumers see one order per key whoever produced.
//
// With `transactional_id`, each call of deliver() is one transaction: consumers that read committed messages see all of
// a batch or nothing of it, and a producer that was thought dead is fenced off. After a crash the batch is produced
// again.
#include <librdkafka/rdkafka.h>

#include <vector>

#include "core/json_members.hpp"
#include "sink/kafka_settings.hpp"
#include "sink/reconciliation.hpp"

namespace meridian::sink {
namespace {

constexpr int poll_ms = 100;
constexpr int transaction_ms = 10'000;

struct Deleter {
  void operator()(rd_kafka_t* producer) const noexcept {
    rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(producer, poll_ms);
    rd_kafka_destroy(producer);
  }
  void operator()(rd_kafka_error_t* error) const noexcept { rd_kafka_error_destroy(error); }
  void operator()(rd_kafka_headers_t* headers) const noexcept { rd_kafka_headers_destroy(headers); }
};
using Failure = std::unique_ptr<rd_kafka_error_t, Deleter>;

bool is_permanent(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
      return true;
    default:
      return false;
  }
}

/// Delivery reports come in rd_kafka_poll(), which only deliver() calls.
struct Report {
  Outcome* outcome;
  std::size_t* open;
  std::string* complaint;
};

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  auto* const report = static_cast<Report*>(message->_private);
  --*report->open;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    report->outcome->kind = Outcome::Kind::delivered;
    report->complaint->clear();
    return;
  }
  report->outcome->kind = is_permanent(message->err) ? Outcome::Kind::rejected : Outcome::Kind::retry;
  report->outcome->reason = rd_kafka_err2str(message->err);
}

/// Reports point into the frame of deliver(), and are told as long as there is a producer: so it ends with a call that
/// was cut short, also by an exception.
struct Cut {
  std::unique_ptr<rd_kafka_t, Deleter>* producer;
  bool is_armed = true;
  ~Cut() {
    if (is_armed) producer->reset();
  }
};

class KafkaTarget final : public Target {
 public:
  explicit KafkaTarget(const Options& options) : options_(options) {
    options.allow_only({"brokers", "compression", "transactional_id", "create_topics", "kafka."});
    start();
  }

  void deliver(std::span<const SinkEvent* const> events, std::span<Outcome> outcomes, const Idle& idle) override {
    if (producer_ == nullptr) start();
    if (transactional_ && !begin(outcomes)) return;
    std::vector<Report> reports(events.size());
    std::size_t open = 0;
    Cut cut{&producer_};
    for (std::size_t i = 0; i < events.size(); ++i) {
      reports[i] = {&outcomes[i], &open, &complaint_};
      produce(*events[i], &reports[i], idle);
    }
    const bool complete = await_reports(&open, idle);
    cut.is_armed = !complete || is_fatal(outcomes);
    if (complete && transactional_) end(outcomes);
  }

  [[nodiscard]] std::string complaint() const override { return complaint_; }

  std::optional<std::string> mark(const std::vector<SinkTable>& tables) override {
    return mark_kafka(options_, tables);
  }

  std::unique_ptr<Reconciliation> reconcile(const ReconciliationTask& task) override {
    return make_kafka_reconciliation(options_, task);
  }

 private:
  void start() {
    KafkaSettings settings{{{"enable.idempotence", "true"},
                            {"acks", "all"},
                            {"partitioner", "murmur2_random"},
                            {"message.timeout.ms", "0"},
                            {"linger.ms", "1"},
                            // A batch is waited for: its last packet must not wait for the acknowledgement of the one
                            // before, which takes 40 ms.
                            {"socket.nagle.disable", "true"},
                            {"compression.codec", options_.get("compression", "none")},
                            {"allow.auto.create.topics", options_.flag("create_topics", true) ? "true" : "false"}},
                           on_delivery,
                           &complaint_};
    transactional_ = options_.find("transactional_id").has_value();
    if (transactional_) settings.settings.emplace_back("transactional.id", options_.require("transactional_id"));
    producer_.reset(make_kafka_client(options_, RD_KAFKA_PRODUCER, settings));
    initialized_ = false;
  }

  void produce(const SinkEvent& event, Report* report, const Idle& idle) {
    std::unique_ptr<rd_kafka_headers_t, Deleter> headers = make_headers(event);
    // librdkafka takes a part by pointer and size, in macros that want plain expressions.
    void* const key = event.key ? const_cast<char*>(event.key->data()) : nullptr;
    const std::size_t key_size = event.key ? event.key->size() : 0;
    void* const value = event.value ? const_cast<char*>(event.value->data()) : nullptr;
    const std::size_t value_size = event.value ? event.value->size() : 0;
    for (;;) {
      // Copied, because librdkafka repeats sending when deliver() may have returned already.
      const rd_kafka_resp_err_t error = rd_kafka_producev(
          producer_.get(), RD_KAFKA_V_TOPIC(event.topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
          RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_VALUE(value, value_size), RD_KAFKA_V_HEADERS(headers.get()),
          RD_KAFKA_V_OPAQUE(report), RD_KAFKA_V_END);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        headers.release();
        ++*report->open;
        return;
      }
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL || !idle()) {
        *report->outcome = {is_permanent(error) ? Outcome::Kind::rejected : Outcome::Kind::retry,
                            rd_kafka_err2str(error)};
        return;
      }
      rd_kafka_poll(producer_.get(), poll_ms);
    }
  }

  static std::unique_ptr<rd_kafka_headers_t, Deleter> make_headers(const SinkEvent& event) {
    std::unique_ptr<rd_kafka_headers_t, Deleter> headers(rd_kafka_headers_new(2));
    if (!event.headers) return headers;
    JsonMembers members(*event.headers);
    for (JsonMember member; members.next(&member);) {
      rd_kafka_header_add(headers.get(), member.name.data(), static_cast<ssize_t>(member.name.size()),
                          member.value.data(), static_cast<ssize_t>(member.value.size()));
    }
    return headers;
  }

  bool await_reports(const std::size_t* open, const Idle& idle) {
    while (*open > 0) {
      rd_kafka_poll(producer_.get(), poll_ms);
      if (*open > 0 && !idle()) return false;
    }
    return true;
  }

  bool is_fatal(std::span<Outcome> outcomes) {
    char reason[512];
    if (rd_kafka_fatal_error(producer_.get(), reason, sizeof reason) == RD_KAFKA_RESP_ERR_NO_ERROR) return false;
    for (Outcome& outcome : outcomes) {
      if (outcome.kind == Outcome::Kind::retry) outcome.reason = reason;
    }
    return true;
  }

  bool begin(std::span<Outcome> outcomes) {
    Failure failure(initialized_ ? nullptr : rd_kafka_init_transactions(producer_.get(), transaction_ms));
    if (failure == nullptr) {
      initialized_ = true;
      failure.reset(rd_kafka_begin_transaction(producer_.get()));
    }
    if (failure == nullptr) return true;
    fail(outcomes, failure.get());
    return false;
  }

  void end(std::span<Outcome> outcomes) {
    const auto is_delivered = [](const Outcome& outcome) { return outcome.kind == Outcome::Kind::delivered; };
    if (std::all_of(outcomes.begin(), outcomes.end(), is_delivered)) {
      const Failure failure(rd_kafka_commit_transaction(producer_.get(), transaction_ms));
      if (failure == nullptr) return;
      fail(outcomes, failure.get());
    } else {
      // What was rejected stays so; the rest of the batch goes again, without it.
      for (Outcome& outcome : outcomes) {
        if (is_delivered(outcome)) outcome = {Outcome::Kind::retry, "the transaction was aborted"};
      }
    }
    if (producer_ == nullptr) return;
    const Failure aborted(rd_kafka_abort_transaction(producer_.get(), transaction_ms));
    if (aborted != nullptr) producer_.reset();
  }

  void fail(std::span<Outcome> outcomes, const rd_kafka_error_t* failure) {
    for (Outcome& outcome : outcomes) outcome = {Outcome::Kind::retry, rd_kafka_error_string(failure)};
    if (rd_kafka_error_is_fatal(failure) != 0) producer_.reset();
  }

  Options options_;
  std::string complaint_;  ///< outlives the producer, whose callbacks write it
  std::unique_ptr<rd_kafka_t, Deleter> producer_;
  bool transactional_ = false;
  bool initialized_ = false;
};

}  // namespace

std::unique_ptr<Target> make_kafka_target(const Options& options) { return std::make_unique<KafkaTarget>(options); }

}  // namespace meridian::sink
