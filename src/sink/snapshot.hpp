// Rows of tables, fitted into the stream of changes.
//
//   read()            a chunk of rows is read; the WAL has a watermark before and one behind the moment of reading
//   pass()            a change between the two comes by: the chunk's row of its key is left out, since this is newer;
//   large
//                     values that the change did not touch, and did not send, are taken from the row
//   pass_watermark()  at the second one what is left of the chunk joins the batch, with the watermark's position
//   delivered()       the batch is where it belongs: the key of the chunk's last row is written down
//
// So no row overwrites a newer change, changes are not held up, and a crash repeats one chunk. One chunk is in memory
// at a time. That the rows are what the stream had brought about at the first watermark, or newer, is the server's to
// see to (plugin/cdc_snapshot.cpp).
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sink/ledger.hpp"

namespace meridian::sink {

class Snapshot {
 public:
  Snapshot(std::string sink, Ledger& ledger) : sink_(std::move(sink)), ledger_(ledger) {}

  /// Asks whether rows are wanted; about once a second.
  void look();
  /// Reads the next chunk, if rows are wanted and there is none at hand.
  void read();
  void pass(SinkEvent* event);
  void pass_watermark(const SinkEvent& mark, std::vector<SinkEvent>* batch);
  /// A chunk's rows have joined the batch, which is to be delivered.
  [[nodiscard]] bool is_passed() const noexcept { return state_ == State::closed; }
  /// Everything that was passed is delivered.
  void delivered();

 private:
  enum class State { idle, wanted, read, open, closed };

  void close(const SinkEvent& mark, std::vector<SinkEvent>* batch);

  std::string sink_;
  Ledger& ledger_;
  State state_ = State::idle;
  SnapshotTask task_;
  Chunk chunk_;
  std::string label_;
  std::uint64_t chunks_ = 0;                           ///< that this process has read
  std::unordered_map<std::string, std::size_t> rows_;  ///< by identity, those that no change has replaced
};

}  // namespace meridian::sink
