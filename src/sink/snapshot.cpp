#include "sink/snapshot.hpp"

#include <unistd.h>

#include <algorithm>

#include "core/sink_document.hpp"

namespace meridian::sink {

void Snapshot::look() {
  if (state_ != State::idle) return;
  if (auto task = ledger_.next_snapshot()) {
    task_ = std::move(*task);
    state_ = State::wanted;
  }
}

void Snapshot::read() {
  if (state_ != State::wanted) return;
  // Watermarks that another process left behind must not be taken for ours.
  label_ = sink_ + ' ' + std::to_string(getpid()) + '.' + std::to_string(++chunks_);
  auto chunk = ledger_.read_chunk(task_, label_);
  state_ = chunk ? State::read : State::idle;
  if (!chunk) return;
  chunk_ = std::move(*chunk);
  rows_.clear();
  for (std::size_t i = 0; i < chunk_.rows.size(); ++i) rows_[identity_of(chunk_.rows[i])] = i;
}

void Snapshot::pass(SinkEvent* event) {
  if (state_ != State::open) return;
  if (event->key) {
    const auto found = rows_.find(identity_of(*event));
    if (found == rows_.end()) return;
    // The row may be newer than this change; then the value's own change comes behind it.
    if (event->value) event->value = fill_event(*event->value, *chunk_.rows[found->second].value);
    rows_.erase(found);
    return;
  }
  // TRUNCATE: none of the rows may come behind it.
  std::erase_if(rows_, [&](const auto& row) { return row.first.starts_with(event->topic + '\n'); });
}

void Snapshot::pass_watermark(const SinkEvent& mark, std::vector<SinkEvent>* batch) {
  if (state_ == State::read && mark.value == label_ + " low") state_ = State::open;
  if (state_ == State::open && mark.value == label_ + " high") close(mark, batch);
}

void Snapshot::close(const SinkEvent& mark, std::vector<SinkEvent>* batch) {
  std::vector<std::size_t> places;
  places.reserve(rows_.size());
  for (const auto& [identity, place] : rows_) places.push_back(place);
  std::sort(places.begin(), places.end());
  cdc::Position position = mark.position;
  for (const std::size_t place : places) {
    SinkEvent& row = chunk_.rows[place];
    row.position = position;
    batch->push_back(std::move(row));
    ++position.index;
  }
  if (!places.empty()) batch->back().end_lsn = mark.end_lsn;
  chunk_.rows.clear();
  rows_.clear();
  state_ = State::closed;
}

void Snapshot::delivered() {
  if (state_ != State::closed) return;
  ledger_.snapshot_advanced(task_, chunk_);
  state_ = State::idle;
  look();
}

}  // namespace meridian::sink
