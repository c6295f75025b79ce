// From the slot to the target, in batches.
//
//   collect      until the batch has enough bytes or events, or its first event has waited long enough
//   deliver      what the target could not take for now goes again, with a growing pause, for as long as it takes
//   put aside    what it will never take, by the sink's policy
//   advance      the ledger's position, durably
//   confirm      the last transaction that is complete, to the slot
//
// Memory is bounded by a few batches: while a target does not take one, no more is read ahead than the next
// (source.hpp), and the WAL is the buffer.
#pragma once

#include <atomic>
#include <string>
#include <unordered_set>
#include <vector>

#include "sink/ledger.hpp"
#include "sink/resnapshot.hpp"
#include "sink/snapshot.hpp"
#include "sink/source.hpp"
#include "sink/target.hpp"

namespace meridian::sink {

/// The sink cannot go on until somebody does something.
struct Stopped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Pipeline {
 public:
  /// `ending` becomes true when the program is to end.
  Pipeline(const Options& options, Ledger& ledger, Target& target, const std::atomic<bool>& ending);

  /// Until the program is to end. Throws SourceError when the connection is lost, Stopped by the policy `stop`.
  void run();

 private:
  using Clock = Source::Clock;

  void collect();
  void deliver();
  /// Delivers these, again and again; returns false if the program is to end first.
  bool deliver_all(std::vector<const SinkEvent*> open);
  bool deliver_all(const std::vector<SinkEvent>& events);
  void put_aside(const SinkEvent& event, const std::string& reason);
  void supersede(const SinkEvent& event);
  /// Once in a while: what is wanted of the sink. False if it was not time yet.
  bool learn_wish();
  void look_around();
  void retry_dead_letters();
  bool pause(Clock::duration time);
  bool idle();

  const Options& options_;
  Ledger& ledger_;
  Target& target_;
  const std::atomic<bool>& ending_;
  Source source_;
  Snapshot snapshot_;
  Resnapshot resnapshot_;
  std::vector<SinkEvent> batch_;
  std::size_t batch_bytes_ = 0;
  Counts counts_;
  Wish wish_ = Wish::run;
  std::string state_;
  Clock::time_point next_look_{};
  std::unordered_set<std::string> aside_;  ///< topics and keys of which something was put aside
};

}  // namespace meridian::sink
