#include "core/health.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace meridian {
namespace {

using enum Health;
using enum HealthEvent;

Health state_at(std::size_t i) { return static_cast<Health>(i); }
HealthEvent event_at(std::size_t i) { return static_cast<HealthEvent>(i); }

// Every edge is where the index looks for it, exactly one for each state and event, and says why.
TEST(Health, TheTableIsComplete) {
  for (std::size_t event = 0; event < health_events; ++event) {
    for (std::size_t from = 0; from < health_states; ++from) {
      const HealthEdge& edge = health_edge(state_at(from), event_at(event));
      EXPECT_EQ(edge.from, state_at(from));
      EXPECT_EQ(edge.event, event_at(event));
      EXPECT_FALSE(edge.why.empty());
    }
  }
}

// Walks every edge from a fresh server: each state can be reached and left again.
TEST(Health, EveryStateIsReachedFromEveryOther) {
  for (std::size_t start = 0; start < health_states; ++start) {
    std::set<Health> reached{state_at(start)};
    for (std::size_t round = 0; round < health_states; ++round) {
      for (const Health from : std::set<Health>(reached)) {
        for (std::size_t event = 0; event < health_events; ++event)
          reached.insert(health_edge(from, event_at(event)).to);
      }
    }
    // Nobody becomes unknown again.
    reached.erase(unknown);
    EXPECT_EQ(reached.size(), health_states - 1) << name_of(state_at(start));
  }
}

TEST(Health, OneMissSendsReadersAwayAndIsForgivenAtOnce) {
  EXPECT_EQ(health_edge(up, missed).to, suspect);
  EXPECT_EQ(health_edge(suspect, answered).to, up);
}

TEST(Health, AnOutageNeedsTwoAnswers) {
  EXPECT_EQ(health_edge(suspect, lost).to, down);
  EXPECT_EQ(health_edge(down, answered).to, suspect);
  EXPECT_EQ(health_edge(suspect, answered).to, up);
}

TEST(Health, ARoleIsBelievedAtOnce) {
  for (std::size_t from = 0; from < health_states; ++from) {
    EXPECT_EQ(health_edge(state_at(from), answered_promoted).to, promoted);
    EXPECT_EQ(health_edge(state_at(from), answered_diverged).to, diverged);
  }
}

TEST(Health, OnlyAnAnswerMakesAServerWell) {
  for (std::size_t from = 0; from < health_states; ++from) {
    for (const HealthEvent event : {missed, lost}) {
      const Health to = health_edge(state_at(from), event).to;
      EXPECT_TRUE(to == unknown || to == suspect || to == down || to == diverged) << name_of(to);
    }
  }
}

TEST(Health, StatesHaveNames) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < health_states; ++i) names.insert(name_of(state_at(i)));
  EXPECT_EQ(names.size(), health_states);
}

}  // namespace
}  // namespace meridian
