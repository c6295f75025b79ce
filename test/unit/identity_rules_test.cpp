// Walks every edge of core/identity_rules.hpp.
#include "core/identity_rules.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <tuple>

namespace meridian {
namespace {

constexpr ServerFacts confirmed{"7001", 5, "us1"};

ServerFacts server_for(const IdentityRule& rule) {
  ServerFacts running;
  running.system_id = rule.system == SystemMatch::same ? "7001" : "7002";
  running.timeline = rule.timeline == TimelineMatch::same ? 5 : rule.timeline == TimelineMatch::later ? 6 : 4;
  running.name = rule.name == NameMatch::same ? "us1" : "us2";
  return running;
}

TEST(IdentityRules, CoverEveryCombinationOnce) {
  std::set<std::tuple<SystemMatch, TimelineMatch, NameMatch>> seen;
  for (const IdentityRule& rule : identity_rules) {
    EXPECT_TRUE(seen.emplace(rule.system, rule.timeline, rule.name).second);
    EXPECT_FALSE(std::string(rule.reason).empty());
  }
  EXPECT_EQ(seen.size(), 2U * 3U * 2U);
}

TEST(IdentityRules, EveryEdgeIsTaken) {
  for (const IdentityRule& rule : identity_rules) {
    const auto decision = decide_identity(server_for(rule), confirmed, 1);
    EXPECT_EQ(decision.action, rule.action) << rule.reason;
    EXPECT_STREQ(decision.reason, rule.reason);
  }
}

TEST(IdentityRules, OnlyTheConfirmedServerIsAccepted) {
  for (const IdentityRule& rule : identity_rules) {
    const bool unchanged =
        rule.system == SystemMatch::same && rule.timeline == TimelineMatch::same && rule.name == NameMatch::same;
    EXPECT_EQ(rule.action == IdentityAction::accept, unchanged) << rule.reason;
  }
}

TEST(IdentityRules, PromotedStandbyWithItsOwnNameIsConfirmedUnderANewEpoch) {
  EXPECT_EQ(decide_identity({"7001", 6, "us2"}, confirmed, 1).action, IdentityAction::raise_epoch);
}

TEST(IdentityRules, CopyUnderAnotherNameIsRefused) {
  EXPECT_EQ(decide_identity({"7001", 5, "us2"}, confirmed, 1).action, IdentityAction::refuse);
  EXPECT_EQ(decide_identity({"7002", 1, "us2"}, confirmed, 1).action, IdentityAction::refuse);
}

TEST(IdentityRules, UpgradedSystemUnderTheSameNameIsConfirmedUnderANewEpoch) {
  EXPECT_EQ(decide_identity({"7002", 1, "us1"}, confirmed, 1).action, IdentityAction::raise_epoch);
}

TEST(IdentityRules, ServerWithoutANameIsRefusedEvenIfItIsUnchanged) {
  EXPECT_EQ(decide_identity({"7001", 5, ""}, confirmed, 1).action, IdentityAction::refuse);
  EXPECT_EQ(decide_identity({"7001", 5, ""}, {"7001", 5, ""}, 1).action, IdentityAction::refuse);
}

TEST(IdentityRules, TheLastEpochIsUsedButNotPassed) {
  EXPECT_EQ(decide_identity({"7001", 6, "us1"}, confirmed, last_epoch - 1).action, IdentityAction::raise_epoch);
  EXPECT_EQ(decide_identity({"7001", 6, "us1"}, confirmed, last_epoch).action, IdentityAction::refuse);
  EXPECT_EQ(decide_identity(confirmed, confirmed, last_epoch).action, IdentityAction::accept);
}

}  // namespace
}  // namespace meridian
