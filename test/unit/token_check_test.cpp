// Judgements, compared with an oracle that knows every write: clusters whose timelines fork at random.
#include "core/token_check.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace meridian {
namespace {

constexpr std::uint64_t system_id = 77;

struct Timeline {
  std::uint32_t parent = 0;    ///< 0: none
  std::uint64_t begun_at = 0;  ///< where the parent was left
  std::uint64_t end = 0;       ///< how far it was written
};

/// Timelines 1 .. n of one system. A promotion begins the next at a point of an existing one.
struct History {
  std::vector<Timeline> timelines = {{}, {}};

  [[nodiscard]] std::vector<TimelineEnd> ancestors(std::uint32_t timeline) const {
    std::vector<TimelineEnd> result;
    while (timelines[timeline].parent != 0) {
      result.push_back({timelines[timeline].parent, timelines[timeline].begun_at});
      timeline = timelines[timeline].parent;
    }
    return result;
  }

  /// The oracle: whether the write at (timeline, lsn) is in the WAL that ends at (at, reached).
  [[nodiscard]] bool contains(std::uint32_t at, std::uint64_t reached, std::uint32_t timeline,
                              std::uint64_t lsn) const {
    while (at != timeline && timelines[at].parent != 0) {
      reached = std::min(reached, timelines[at].begun_at);
      at = timelines[at].parent;
    }
    return at == timeline && lsn <= reached;
  }
};

History random_history(std::mt19937_64& random) {
  History history;
  history.timelines[1] = {0, 0, random() % 50 + 1};
  for (auto promotions = random() % 5; promotions > 0; --promotions) {
    const auto parent = static_cast<std::uint32_t>(random() % (history.timelines.size() - 1) + 1);
    const Timeline& from = history.timelines[parent];
    const std::uint64_t at = from.begun_at + random() % (from.end - from.begun_at + 1);
    history.timelines.push_back({parent, at, at + random() % 50 + 1});
  }
  return history;
}

TEST(TokenCheck, AgreesWithTheOracle) {
  std::mt19937_64 random(1);
  int seen[6] = {};
  for (int round = 0; round < 20'000; ++round) {
    const History history = random_history(random);
    const auto pick = [&] { return static_cast<std::uint32_t>(random() % (history.timelines.size() - 1) + 1); };
    const std::uint32_t here = pick();
    const Timeline& mine = history.timelines[here];
    const std::vector<TimelineEnd> ancestors = history.ancestors(here);
    const bool issues = random() % 2 == 0;
    const std::uint64_t reached = issues ? mine.end : mine.begun_at + random() % (mine.end - mine.begun_at + 1);
    const std::uint32_t written = pick();
    const Timeline& its = history.timelines[written];
    if (its.end == its.begun_at) continue;
    const std::uint64_t lsn = its.begun_at + 1 + random() % (its.end - its.begun_at);

    const Verdict verdict = judge({system_id, written, lsn}, {system_id, here, reached, ancestors, true, issues});
    ++seen[static_cast<int>(verdict)];
    const bool is_here = history.contains(here, reached, written, lsn);
    EXPECT_EQ(verdict == Verdict::yes, is_here);
    // Not here now. Will it be, if the server stays on its timeline?
    const bool will_be = history.contains(here, UINT64_MAX, written, lsn);
    EXPECT_FALSE(verdict == Verdict::lost && will_be);
    EXPECT_TRUE(is_here || !will_be || verdict == (issues ? Verdict::future : Verdict::not_yet));
    EXPECT_TRUE(verdict != Verdict::not_yet || will_be || written > here) << "a wait that could never end well";
  }
  EXPECT_GT(seen[static_cast<int>(Verdict::yes)], 1000);
  EXPECT_GT(seen[static_cast<int>(Verdict::not_yet)], 1000);
  EXPECT_GT(seen[static_cast<int>(Verdict::lost)], 1000);
}

TEST(TokenCheck, ALargerLsnOnALaterTimelineProvesNothing) {
  const TimelineEnd left[] = {{1, 100}};
  const Reach promoted{system_id, 2, 5000, left, true, true};
  EXPECT_EQ(judge({system_id, 1, 100}, promoted), Verdict::yes);
  EXPECT_EQ(judge({system_id, 1, 101}, promoted), Verdict::lost);
  EXPECT_EQ(judge({system_id, 2, 5000}, promoted), Verdict::yes);
  EXPECT_EQ(judge({system_id, 2, 5001}, promoted), Verdict::future);
  EXPECT_EQ(judge({system_id, 3, 1}, promoted), Verdict::future);
  EXPECT_EQ(judge({system_id + 1, 1, 1}, promoted), Verdict::foreign);
}

// A node that applies what a system writes, timeline after timeline, and hears of each new one after it has got some
// way on the one before. It has all that led to where it got on any of them.
TEST(TokenCheck, WhatWasAppliedStaysReadable) {
  std::mt19937_64 random(2);
  int kept = 0;
  for (int round = 0; round < 5000; ++round) {
    const History history = random_history(random);
    std::vector<TimelineEnd> all_told;
    TimelineEnd told{1, 0};
    std::vector<TimelineEnd> ends;
    for (std::uint32_t next = 1; next < history.timelines.size(); ++next) {
      const Timeline& its = history.timelines[next];
      std::vector<TimelineEnd> fresh = history.ancestors(next);
      keep_known_ends(fresh, told, ends);
      ends = fresh;
      const TimelineEnd before = told;
      told = {next, its.begun_at + random() % (its.end - its.begun_at + 1)};
      all_told.push_back(told);
      const Reach reach{system_id, told.timeline, UINT64_MAX, ends, true, false};
      for (std::uint32_t on = 1; on < next; ++on) {
        const Timeline& old = history.timelines[on];
        for (std::uint64_t lsn = old.begun_at + 1; lsn <= old.end; ++lsn) {
          const bool in_history = history.contains(next, UINT64_MAX, on, lsn);
          const Verdict verdict = judge({system_id, on, lsn}, reach);
          const bool applied = std::any_of(all_told.begin(), all_told.end(), [&](const TimelineEnd& each) {
            return history.contains(each.timeline, each.end, on, lsn);
          });
          EXPECT_TRUE(verdict != Verdict::yes || in_history || applied);
          EXPECT_TRUE(verdict == Verdict::yes || !in_history);
          EXPECT_TRUE(verdict == Verdict::yes || on != before.timeline || on != its.parent || lsn > before.end);
          if (verdict == Verdict::yes && !in_history) ++kept;
        }
      }
    }
  }
  EXPECT_GT(kept, 1000);
}

TEST(TokenCheck, AnUnknownHistoryLosesNothing) {
  const Reach reach{system_id, 3, 5000, {}, false, false};
  EXPECT_EQ(judge({system_id, 2, 1}, reach), Verdict::not_yet);
  EXPECT_EQ(judge({system_id, 3, 1}, reach), Verdict::yes);
}

TEST(TokenCheck, TheWorstPartDecides) {
  EXPECT_EQ(combine(Verdict::yes, Verdict::not_yet), Verdict::not_yet);
  EXPECT_EQ(combine(Verdict::lost, Verdict::not_yet), Verdict::lost);
  EXPECT_EQ(combine(Verdict::foreign, Verdict::lost), Verdict::lost);
  EXPECT_EQ(combine(Verdict::future, Verdict::foreign), Verdict::foreign);
  EXPECT_EQ(combine(Verdict::yes, Verdict::yes), Verdict::yes);
}

}  // namespace
}  // namespace meridian
