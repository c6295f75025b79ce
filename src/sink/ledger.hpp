// What outlives the program: how far a sink has come, what was put aside, and what people want of it.
//
// In the database (tables meridian.sink_progress and meridian.dead_letter) for sinks that were created there; in files
// for a sink that runs standalone. The position is written after its events were delivered and before the slot is told,
// so a crash between any two steps repeats at most what was delivered since: one batch.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sink/event.hpp"
#include "sink/options.hpp"
#include "sink/reconciliation.hpp"

namespace meridian::sink {

enum class Wish { run, pause, end };

struct Counts {
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;
  std::uint64_t batches = 0;
  std::uint64_t retries = 0;
  std::uint64_t skipped = 0;
};

struct DeadLetter {
  std::int64_t id;
  SinkEvent event;
};

/// A table whose rows are to be delivered, behind the one with this key.
struct SnapshotTask {
  std::string table;
  std::optional<std::string> row_key;
  std::string asked_at;  ///< tells a snapshot from an earlier one of the table
};

/// What resnapshot_sink() asks for.
struct ResnapshotTask {
  std::uint64_t generation = 0;
  std::uint64_t since = 0;  ///< the position from which on events are newer
  std::int64_t age_s = 0;   ///< seconds since it was asked for
  std::string mark;         ///< Target::mark()
  bool is_marked = false;   ///< it is prepared, and rows may be read
  bool has_rows = false;    ///< all rows were delivered
  std::string blocked_by;   ///< why not all rows were; empty: nothing
};

struct Chunk {
  std::vector<SinkEvent> rows;         ///< without positions
  std::uint64_t read = 0;              ///< rows, those that options filter out included
  std::optional<std::string> row_key;  ///< of the last row; none: there are no more
};

class Ledger {
 public:
  Ledger() = default;
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  virtual ~Ledger() = default;

  virtual std::optional<cdc::Position> position() = 0;
  /// Everything up to this event is where it belongs. Durable when it returns. `counts` are those since the last call.
  virtual void advance(const SinkEvent& last, const Counts& counts) = 0;
  /// Shown to people: `running`, `retrying`, `paused`, `stopped`, with the last error if it is a new one.
  virtual void report(const std::string& state, const std::string& error) = 0;
  virtual void put_aside(const SinkEvent& event, const std::string& reason) = 0;
  /// Events of which something was put aside, by topic and key.
  virtual std::vector<SinkEvent> aside() = 0;
  /// An event of the same key was delivered: what was put aside of it must not come after that.
  virtual void supersede(const SinkEvent& event) = 0;
  virtual Wish wish() = 0;
  /// Dead letters that somebody asked to try again.
  virtual std::vector<DeadLetter> asked_again() = 0;
  virtual void settle(std::int64_t dead_letter, const Outcome& outcome) = 0;

  virtual std::optional<SnapshotTask> next_snapshot() = 0;
  /// Reads rows between two watermarks, whose contents begin with the label. Nothing if they cannot be read, now or
  /// ever.
  virtual std::optional<Chunk> read_chunk(const SnapshotTask& task, const std::string& label) = 0;
  /// The chunk's rows are where they belong.
  virtual void snapshot_advanced(const SnapshotTask& task, const Chunk& chunk) = 0;

  // The rest is for sinks of the database only.

  virtual std::optional<ResnapshotTask> resnapshot() { return std::nullopt; }
  virtual std::vector<SinkTable> resnapshot_tables() { return {}; }
  virtual void resnapshot_marked(const ResnapshotTask&, const std::optional<std::string>& /*mark*/) {}
  virtual void resnapshot_removed(const ResnapshotTask&, std::uint64_t /*rows*/) {}
  virtual void resnapshot_put_off(const ResnapshotTask&, const std::string& /*reason*/) {}
  /// For good; `error` is empty if all was done.
  virtual void resnapshot_ended(const ResnapshotTask&, const std::string& /*error*/) {}
};

/// The options of a sink that was created in the database.
Options read_options(const std::string& dsn, const std::string& name);
std::unique_ptr<Ledger> open_database_ledger(const Options& options);
/// `position_file` holds the position; dead letters are appended to the same name with `.dead_letters`.
std::unique_ptr<Ledger> open_file_ledger(const std::string& position_file);

}  // namespace meridian::sink
