// Finding what a target still has of rows that the database does not have any more.
//
// When changes were lost, all rows are delivered again; what was deleted meanwhile is then what the target has and was
// not written since. So each target tells older from newer: Redis by its guards, Elasticsearch by versions, Kafka by
// where its partitions ended when the rows began (mark()). What is removed must be proven to be this sink's: its name,
// or key, is that of a row of one of the tables.
//
// Changes go on meanwhile. A step looks at some hundred rows and returns; removing is conditional, or done within the
// step that has looked, so that nothing newer is ever removed. A step that fails is followed by a new beginning: what
// was removed is not found again.
#pragma once

#include "sink/target.hpp"

namespace meridian::sink {

struct SinkTable {
  std::string topic;
  std::string schema;
  std::string table;
  std::optional<std::string> key_row;  ///< its key without values, as JSON; none: it has no key
  std::string old_row;                 ///< a row of which nothing is known but the key (core/sink_document.hpp)
  std::string truncation;              ///< the event of a TRUNCATE
};

struct ReconciliationTask {
  std::vector<SinkTable> tables;
  std::uint64_t version = 0;  ///< what was written since has this one at least
  std::uint64_t since = 0;    ///< the position that it stands for
  std::string mark;
};

/// It cannot be done at all; who reads the message has to do something.
struct ReconciliationError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Marks that a target must keep are kept for so long.
inline constexpr std::int64_t longest_reconciliation_s = 30 * 86'400;

class Reconciliation {
 public:
  struct Found {
    std::uint64_t removed = 0;
    std::vector<SinkEvent> events;  ///< to be delivered at once; they remove what was found
    bool is_end = false;
  };

  Reconciliation() = default;
  Reconciliation(const Reconciliation&) = delete;
  Reconciliation& operator=(const Reconciliation&) = delete;
  virtual ~Reconciliation() = default;

  /// Everything that deliver() was given before is at the target. Throws ReconciliationError, or any other
  /// std::runtime_error for what may pass.
  virtual Found step(const Idle& idle) = 0;
};

std::unique_ptr<Reconciliation> make_redis_reconciliation(const Options& options, const ReconciliationTask& task);
std::unique_ptr<Reconciliation> make_elasticsearch_reconciliation(const Options& options,
                                                                  const ReconciliationTask& task);
std::unique_ptr<Reconciliation> make_kafka_reconciliation(const Options& options, const ReconciliationTask& task);
/// Where each partition of the tables' topics ends.
std::string mark_kafka(const Options& options, const std::vector<SinkTable>& tables);

}  // namespace meridian::sink
