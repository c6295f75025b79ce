// Where events go. One implementation per kind; each owns its connection, and makes it again when it is lost.
//
// The contract with the pipeline: deliver() returns when it knows of every event what became of it, or gives up for now
// (Outcome::retry); it may be called again with the events that are left, in the same order, and must then not bring
// back what a later event of the same key has replaced. It waits at most some seconds without calling `idle`, which
// looks what is wanted of the sink, and returns false when the program is to end.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sink/event.hpp"
#include "sink/options.hpp"

namespace meridian::sink {

using Idle = std::function<bool()>;

class Reconciliation;
struct ReconciliationTask;
struct SinkTable;

class Target {
 public:
  Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  virtual ~Target() = default;

  /// One outcome for each event, in their order.
  virtual void deliver(std::span<const SinkEvent* const> events, std::span<Outcome> outcomes, const Idle& idle) = 0;
  /// What is wrong while deliver() waits; empty: nothing that is known.
  [[nodiscard]] virtual std::string complaint() const { return {}; }

  // For reconciliation.hpp, which says more.

  /// What is written from now on must be told from what was written before, until it is not wanted any more.
  virtual void keep_marks(bool) {}
  /// What reconcile() needs for that, beside versions; nothing: this target cannot be read back. Throws
  /// std::runtime_error if it cannot be told now.
  virtual std::optional<std::string> mark(const std::vector<SinkTable>&);
  /// Looks through what is there; of a target that cannot be read back nothing.
  virtual std::unique_ptr<Reconciliation> reconcile(const ReconciliationTask&);
};

/// Throws OptionError for options that the kind does not have, or that lack.
std::unique_ptr<Target> make_kafka_target(const Options& options);
std::unique_ptr<Target> make_redis_target(const Options& options);
std::unique_ptr<Target> make_elasticsearch_target(const Options& options);
std::unique_ptr<Target> make_http_target(const Options& options);
std::unique_ptr<Target> make_file_target(const Options& options);

/// By options.kind.
std::unique_ptr<Target> make_target(const Options& options);

}  // namespace meridian::sink
