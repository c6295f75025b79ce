// Everything is delivered again, because changes were lost: what meridian.resnapshot_sink() asks for.
//
//   prepare    the target tells where it is (Target::mark()); one that cannot be read back gets the event of a TRUNCATE
//              for each table instead
//   rows       snapshot.hpp, which begins only then; of tables that were read all rows are newer than the mark
//   reconcile  what is older at the target is removed, a piece between two batches (reconciliation.hpp)
//
// A program that was started before it was asked for has versions that are too small, so it ends, and is started again.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "sink/ledger.hpp"
#include "sink/reconciliation.hpp"

namespace meridian::sink {

/// The sink's options have changed: the program is to be started again.
struct Restart : std::exception {};

class Resnapshot {
 public:
  /// Delivers events at once; false if the program is to end first.
  using Deliver = std::function<bool(const std::vector<SinkEvent>&)>;

  Resnapshot(const Options& options, Ledger& ledger, Target& target) noexcept
      : options_(options), ledger_(ledger), target_(target) {}

  /// Asks whether something is to be done; about once a second, between two batches. Throws Restart.
  void look(const Deliver& deliver);
  /// Does a piece of it, between two batches.
  void work(const Deliver& deliver, const Idle& idle);
  [[nodiscard]] bool is_working() const noexcept { return reconciliation_ != nullptr; }

 private:
  using Clock = std::chrono::steady_clock;

  template <typename Ask>
  bool attempt(Ask ask);
  void prepare(const Deliver& deliver);
  void begin();
  void end(const std::string& error);
  /// What may pass: it is begun again, later.
  void put_off(const std::string& reason);
  [[nodiscard]] std::vector<SinkEvent> truncations(const std::vector<SinkTable>& tables) const;

  const Options& options_;
  Ledger& ledger_;
  Target& target_;
  std::optional<ResnapshotTask> task_;
  std::unique_ptr<Reconciliation> reconciliation_;
  Clock::time_point next_try_{};
  Clock::duration pause_{};
};

}  // namespace meridian::sink
