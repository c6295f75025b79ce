#include "sink/resnapshot.hpp"

#include <algorithm>
#include <set>

#include "sink/source.hpp"

namespace meridian::sink {
namespace {

using namespace std::chrono_literals;

constexpr auto first_pause = 1s;
constexpr auto longest_pause = 60s;

}  // namespace

void Resnapshot::look(const Deliver& deliver) {
  if (reconciliation_ != nullptr && task_) {
    // Asked for again meanwhile?
    const auto now = ledger_.resnapshot();
    if (!now || now->generation != options_.generation) throw Restart();
    return;
  }
  task_ = ledger_.resnapshot();
  if (!task_) return;
  if (task_->generation != options_.generation) throw Restart();
  target_.keep_marks(true);
  if (Clock::now() < next_try_) return;
  if (!task_->is_marked) return prepare(deliver);
  if (task_->has_rows) begin();
}

/// What the target cannot do now, or ever.
template <typename Ask>
bool Resnapshot::attempt(Ask ask) {
  try {
    ask();
    return true;
  } catch (const SourceError&) {
    throw;
  } catch (const ReconciliationError& error) {
    end(error.what());
  } catch (const std::runtime_error& error) {
    put_off(error.what());
  }
  return false;
}

void Resnapshot::prepare(const Deliver& deliver) {
  const auto tables = ledger_.resnapshot_tables();
  std::optional<std::string> mark;
  if (!attempt([&] { mark = target_.mark(tables); })) return;
  if (!mark && !deliver(truncations(tables))) return;
  ledger_.resnapshot_marked(*task_, mark);
}

std::vector<SinkEvent> Resnapshot::truncations(const std::vector<SinkTable>& tables) const {
  std::vector<SinkEvent> events;
  std::set<std::string> told;  // partitions can have one topic and one name
  for (const SinkTable& table : tables) {
    if (!told.insert(table.topic + '\n' + table.schema + '\n' + table.table).second) continue;
    // No event of a row has such a position: these have an LSN.
    const cdc::Position position{task_->since - 1, 0, events.size()};
    events.push_back({position, 0, table.topic, std::nullopt, table.truncation, std::nullopt});
  }
  return events;
}

void Resnapshot::begin() {
  if (!task_->blocked_by.empty()) return end(task_->blocked_by);
  if (task_->age_s > longest_reconciliation_s) return end("it has taken longer than 30 days");
  const ReconciliationTask task{ledger_.resnapshot_tables(), options_.version_base() + task_->since, task_->since,
                                task_->mark};
  if (attempt([&] { reconciliation_ = target_.reconcile(task); }) && reconciliation_ == nullptr) end("");
}

void Resnapshot::work(const Deliver& deliver, const Idle& idle) {
  if (reconciliation_ == nullptr) return;
  Reconciliation::Found found;
  if (!attempt([&] { found = reconciliation_->step(idle); })) return;
  if (!found.events.empty() && !deliver(found.events)) return;
  pause_ = {};
  if (found.removed > 0) ledger_.resnapshot_removed(*task_, found.removed);
  if (found.is_end) end("");
}

void Resnapshot::end(const std::string& error) {
  reconciliation_.reset();
  ledger_.resnapshot_ended(*task_, error);
  target_.keep_marks(false);
  task_.reset();
}

void Resnapshot::put_off(const std::string& reason) {
  reconciliation_.reset();
  pause_ = std::clamp<Clock::duration>(pause_ * 2, first_pause, longest_pause);
  next_try_ = Clock::now() + pause_;
  ledger_.resnapshot_put_off(*task_, reason);
}

}  // namespace meridian::sink
