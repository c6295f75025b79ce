#include "pg/token_check.hpp"

#include "core/error.hpp"
#include "pg/heartbeat.hpp"
#include "pg/support/guard.hpp"
#include "pg/token_secret.hpp"

namespace meridian::pg {
namespace {

/// The ancestors of a timeline, which never change. In TopMemoryContext.
struct Ancestors {
  TimeLineID of;  ///< 0: nothing is known
  int count;
  TimelineEnd* ends;
};

Ancestors cached;

std::span<const TimelineEnd> cached_span() { return {cached.ends, static_cast<std::size_t>(cached.count)}; }

void judge_own(const Position& position, Reach* reach, Judgement* judgement) {
  if (position.timeline < reach->timeline && !reach->history_known) {
    reach->ancestors = ancestors_of(reach->timeline);
    reach->history_known = !reach->ancestors.empty();
  }
  const Verdict verdict = judge(position, *reach);
  judgement->verdict = combine(judgement->verdict, verdict);
  if (verdict != Verdict::not_yet) return;
  const std::uint64_t target = position.lsn > reach->lsn ? position.lsn : UINT64_MAX;
  judgement->target = std::max(judgement->target, target);
}

// Core lane.
void parse(std::string_view text, Wanted* wanted) {
  try {
    const ParsedToken parsed = parse_token(text);
    if (!token_secret().empty() && !parsed.token.empty() && !is_signed_by(token_secret(), parsed)) return;
    for (const Position& position : parsed.token.positions()) wanted->positions[wanted->count++] = position;
    wanted->valid = true;
  } catch (const Error&) {
  }
}

void judge_peer(const Position& position, Judgement* judgement) {
  const Verdict verdict = judge_by_peer(position);
  judgement->verdict = combine(judgement->verdict, verdict);
  if (verdict == Verdict::not_yet) judgement->peers = true;
}

}  // namespace

Reach own_reach() {
  Reach reach{};
  reach.system_id = GetSystemIdentifier();
  reach.issues = !RecoveryInProgress();
  if (reach.issues) {
    reach.timeline = GetWALInsertionTimeLine();
    reach.lsn = GetXLogInsertRecPtr();
  } else {
    TimeLineID timeline;
    reach.lsn = GetXLogReplayRecPtr(&timeline);
    reach.timeline = timeline;
  }
  return reach;
}

std::span<const TimelineEnd> ancestors_of(TimeLineID timeline) {
  if (cached.of == timeline) return cached_span();
  List* const history = readTimeLineHistory(timeline);
  auto* ends = static_cast<TimelineEnd*>(
      MemoryContextAlloc(TopMemoryContext, sizeof(TimelineEnd) * static_cast<Size>(list_length(history))));
  if (cached.ends != nullptr) pfree(cached.ends);
  cached = {0, 0, ends};
  ListCell* cell;
  foreach (cell, history) {
    const auto* entry = static_cast<TimeLineHistoryEntry*>(lfirst(cell));
    if (entry->tli != timeline) ends[cached.count++] = {entry->tli, entry->end};
  }
  list_free_deep(history);
  // A history whose file is missing looks like that of a first timeline; the file may still come.
  if (timeline == 1 || cached.count > 0) cached.of = timeline;
  return cached_span();
}

Wanted read_token(std::string_view text) {
  Wanted wanted;
  wanted.valid = false;
  wanted.count = 0;
  guarded([text, &wanted] { parse(text, &wanted); });
  return wanted;
}

Judgement judge_here(const Wanted& wanted) {
  Judgement judgement{Verdict::yes, 0, false};
  if (!wanted.valid) {
    judgement.verdict = Verdict::invalid;
    return judgement;
  }
  Reach own = own_reach();
  for (int i = 0; i < wanted.count; ++i) {
    const Position& position = wanted.positions[i];
    if (position.system_id == own.system_id) {
      judge_own(position, &own, &judgement);
    } else {
      judge_peer(position, &judgement);
    }
  }
  return judgement;
}

}  // namespace meridian::pg
