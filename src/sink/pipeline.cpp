#include "sink/pipeline.hpp"

#include <algorithm>
#include <thread>

#include "core/cdc_options.hpp"

namespace meridian::sink {
namespace {

using namespace std::chrono_literals;

constexpr auto look_interval = 1s;
constexpr auto first_pause = 100ms;
constexpr auto longest_pause = 30s;
constexpr auto step = 100ms;

}  // namespace

Pipeline::Pipeline(const Options& options, Ledger& ledger, Target& target, const std::atomic<bool>& ending)
    : options_(options),
      ledger_(ledger),
      target_(target),
      ending_(ending),
      source_(options, ledger.position()),
      snapshot_(options.name, ledger),
      resnapshot_(options, ledger, target) {
  for (const SinkEvent& event : ledger_.aside()) aside_.insert(identity_of(event));
}

void Pipeline::run() {
  while (!ending_) {
    look_around();
    if (wish_ == Wish::end) return;
    if (wish_ == Wish::pause) {
      pause(step);
      continue;
    }
    resnapshot_.work([this](const auto& events) { return deliver_all(events); }, [this] { return idle(); });
    snapshot_.read();
    collect();
    if (batch_.empty()) {
      snapshot_.delivered();
      // All that the server has read is done, so an idle stream keeps no WAL.
      source_.confirm(source_.read_up_to());
    } else {
      deliver();
    }
  }
}

void Pipeline::collect() {
  auto deadline = resnapshot_.is_working() ? Clock::now() : std::min(next_look_, Clock::now() + look_interval);
  while (batch_.size() < options_.batch_events && batch_bytes_ < options_.batch_bytes && !ending_) {
    auto event = source_.next(deadline);
    if (!event) return;
    if (event->topic == cdc::watermark_prefix) {
      const std::size_t before = batch_.size();
      snapshot_.pass_watermark(*event, &batch_);
      for (std::size_t i = before; i < batch_.size(); ++i) batch_bytes_ += batch_[i].size();
      // The next rows are read when these are delivered.
      if (snapshot_.is_passed()) return;
      continue;
    }
    snapshot_.pass(&*event);
    if (batch_.empty()) deadline = Clock::now() + options_.batch_time;
    batch_bytes_ += event->size();
    batch_.push_back(std::move(*event));
  }
}

void Pipeline::deliver() {
  std::vector<const SinkEvent*> open;
  open.reserve(batch_.size());
  for (const SinkEvent& event : batch_) open.push_back(&event);
  if (!deliver_all(std::move(open))) return;

  counts_.events += batch_.size();
  counts_.bytes += batch_bytes_;
  ++counts_.batches;
  ledger_.advance(batch_.back(), counts_);
  counts_ = {};
  snapshot_.delivered();
  const auto last =
      std::find_if(batch_.rbegin(), batch_.rend(), [](const SinkEvent& event) { return event.end_lsn != 0; });
  if (last != batch_.rend()) source_.confirm(last->end_lsn);
  batch_.clear();
  batch_bytes_ = 0;
}

bool Pipeline::deliver_all(std::vector<const SinkEvent*> open) {
  for (Clock::duration wait = first_pause; !open.empty(); wait = std::min<Clock::duration>(wait * 2, longest_pause)) {
    std::vector<Outcome> outcomes(open.size());
    target_.deliver(open, outcomes, [this] { return idle(); });
    std::vector<const SinkEvent*> left;
    const std::string* reason = nullptr;
    for (std::size_t i = 0; i < open.size(); ++i) {
      switch (outcomes[i].kind) {
        case Outcome::Kind::delivered:
          supersede(*open[i]);
          break;
        case Outcome::Kind::rejected:
          put_aside(*open[i], outcomes[i].reason);
          break;
        case Outcome::Kind::retry:
          if (reason == nullptr) reason = &outcomes[i].reason;
          left.push_back(open[i]);
          break;
      }
    }
    if (left.size() < open.size()) wait = first_pause;
    open = std::move(left);
    if (open.empty()) break;
    if (ending_) return false;
    ++counts_.retries;
    state_ = "retrying";
    ledger_.report(state_, *reason);
    if (!pause(wait)) return false;
  }
  if (state_ != "running") ledger_.report(state_ = "running", "");
  return true;
}

bool Pipeline::deliver_all(const std::vector<SinkEvent>& events) {
  std::vector<const SinkEvent*> open;
  for (const SinkEvent& event : events) open.push_back(&event);
  return deliver_all(std::move(open));
}

void Pipeline::put_aside(const SinkEvent& event, const std::string& reason) {
  switch (options_.on_error) {
    case Policy::stop:
      throw Stopped("the target refuses an event of topic \"" + event.topic + "\": " + reason);
    case Policy::dead_letter:
      ledger_.put_aside(event, reason);
      aside_.insert(identity_of(event));
      break;
    case Policy::skip:
      ++counts_.skipped;
      break;
  }
}

void Pipeline::supersede(const SinkEvent& event) {
  // Events without a key have no order that an older one could upset.
  if (aside_.empty() || !event.key || aside_.erase(identity_of(event)) == 0) return;
  ledger_.supersede(event);
}

bool Pipeline::learn_wish() {
  if (Clock::now() < next_look_) return false;
  next_look_ = Clock::now() + look_interval;
  wish_ = ledger_.wish();
  return true;
}

void Pipeline::look_around() {
  if (!learn_wish()) return;
  const std::string state = wish_ == Wish::pause ? "paused" : "running";
  if (state != state_) ledger_.report(state_ = state, "");
  if (wish_ != Wish::run) return;
  retry_dead_letters();
  resnapshot_.look([this](const auto& events) { return deliver_all(events); });
  snapshot_.look();
}

void Pipeline::retry_dead_letters() {
  for (const DeadLetter& letter : ledger_.asked_again()) {
    const SinkEvent* event = &letter.event;
    Outcome outcome;
    target_.deliver({&event, 1}, {&outcome, 1}, [this] { return idle(); });
    ledger_.settle(letter.id, outcome);
  }
}

bool Pipeline::pause(Clock::duration time) {
  const auto until = Clock::now() + time;
  while (Clock::now() < until) {
    if (!idle()) return false;
    std::this_thread::sleep_for(std::min<Clock::duration>(step, until - Clock::now()));
  }
  return true;
}

bool Pipeline::idle() {
  source_.check();
  if (!ending_ && learn_wish()) {
    const std::string complaint = target_.complaint();
    if (!complaint.empty() && state_ != "retrying") ledger_.report(state_ = "retrying", complaint);
  }
  return !ending_ && wish_ != Wish::end;
}

}  // namespace meridian::sink
