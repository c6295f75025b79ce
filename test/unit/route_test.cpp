#include "core/route.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace meridian {
namespace {

constexpr std::int64_t second = 1'000'000;
constexpr std::int64_t now = 1000 * second;
constexpr std::uint64_t us_system = 71;
constexpr std::uint64_t eu_system = 72;
constexpr std::uint64_t us = region_key("us");
constexpr std::uint64_t eu = region_key("eu");

RouteServer primary(std::uint16_t member, std::uint64_t region) {
  RouteServer server{};
  server.system_id = member == 1 ? us_system : eu_system;
  server.lsn = 1000;
  server.region = region;
  server.sampled_at = now;
  server.timeline = 2;
  server.member = member;
  server.weight = 1;
  server.health = Health::up;
  server.writes = true;
  server.expected_primary = true;
  server.primary_answers = true;
  server.lag_known = true;
  server.has_address = true;
  return server;
}

RouteServer standby(std::uint16_t member, std::uint64_t region) {
  RouteServer server = primary(member, region);
  server.in_recovery = true;
  server.writes = false;
  server.expected_primary = false;
  server.follows = true;
  return server;
}

RouteQuery query(std::uint64_t region = us) {
  RouteQuery query{};
  query.now = now;
  query.oldest_sample = now - 3 * second;
  query.max_lag_us = -1;
  query.region = region;
  query.home = 1;
  query.system_id = us_system;
  query.timeline = 2;
  query.random = 1;
  return query;
}

std::string reason_of(const RouteChoice& choice, const std::vector<RouteServer>& servers) {
  char text[route_reason_size];
  write_reason(choice, servers[choice.index], text);
  return text;
}

RouteChoice choose(const std::vector<RouteServer>& servers, const RouteQuery& query) {
  return choose_server(servers, {}, query);
}

TEST(Route, AReplicaOfTheRegion) {
  const std::vector<RouteServer> servers = {primary(1, us), standby(1, eu), standby(1, us)};
  const RouteChoice choice = choose(servers, query());
  EXPECT_EQ(choice.tier, RouteTier::region_replica);
  EXPECT_EQ(choice.index, 2U);
  EXPECT_EQ(reason_of(choice, servers), "a replica in the region");
}

TEST(Route, ThenThePrimaryOfTheRegionThenReplicasElsewhere) {
  std::vector<RouteServer> servers = {primary(1, us), standby(1, eu), standby(1, us)};
  servers[2].drained = true;
  servers[2].health = Health::drained;
  RouteChoice choice = choose(servers, query());
  EXPECT_EQ(choice.tier, RouteTier::region_primary);
  EXPECT_EQ(reason_of(choice, servers), "the primary: the best replica is drained");
  servers[0].health = Health::down;
  choice = choose(servers, query());
  EXPECT_EQ(choice.tier, RouteTier::other_replica);
  EXPECT_EQ(choice.index, 1U);
}

TEST(Route, AnotherMembersPrimaryServesItsRegion) {
  const std::vector<RouteServer> servers = {primary(1, us), primary(2, eu)};
  const RouteChoice choice = choose(servers, query(eu));
  EXPECT_EQ(choice.index, 1U);
  EXPECT_EQ(reason_of(choice, servers), "the primary: there is no replica");
}

TEST(Route, ThePrimaryIsTheLastResortWhateverItsState) {
  std::vector<RouteServer> servers = {standby(1, us), primary(1, us)};
  servers[0].paused = true;
  servers[1].health = Health::down;
  const RouteChoice choice = choose(servers, query());
  EXPECT_EQ(choice.tier, RouteTier::home_primary);
  EXPECT_EQ(choice.index, 1U);
  EXPECT_EQ(reason_of(choice, servers),
            "the primary, which did not answer just now: the best replica has paused its replay");
}

TEST(Route, WithoutServersThereIsNothing) { EXPECT_EQ(choose({}, query()).tier, RouteTier::nothing); }

TEST(Route, EachRefusal) {
  const auto refusal = [](auto change, auto ask) {
    RouteServer server = standby(1, us);
    RouteQuery wanted = query();
    change(server);
    ask(wanted);
    return refusal_of(server, nullptr, wanted);
  };
  const auto same = [](auto&) {};
  EXPECT_EQ(refusal(same, same), Refusal::none);
  for (const Health state : {Health::unknown, Health::suspect, Health::down})
    EXPECT_EQ(refusal([state](auto& s) { s.health = state; }, same), Refusal::unreached);
  EXPECT_EQ(refusal([](auto& s) { s.health = Health::diverged; }, same), Refusal::diverged);
  EXPECT_EQ(refusal([](auto& s) { s.in_recovery = false; }, same), Refusal::diverged) << "a primary nobody follows";
  EXPECT_EQ(refusal([](auto& s) { s.sampled_at = now - 4 * second; }, same), Refusal::unreached);
  EXPECT_EQ(refusal([](auto& s) { s.has_address = false; }, same), Refusal::no_address);
  EXPECT_EQ(refusal([](auto& s) { s.follows = false; }, same), Refusal::other_timeline);
  EXPECT_EQ(refusal([](auto& s) { s.drained = true; }, same), Refusal::drained);
  EXPECT_EQ(refusal([](auto& s) { s.weight = 0; }, same), Refusal::weightless);
  EXPECT_EQ(refusal([](auto& s) { s.paused = true; }, same), Refusal::paused);
  EXPECT_EQ(refusal([](auto& s) { s.over_time = true; }, same), Refusal::too_late);
  EXPECT_EQ(refusal([](auto& s) { s.over_bytes = true; }, same), Refusal::too_many_bytes);
  EXPECT_EQ(refusal([](auto& s) { s.lag_known = false; }, same), Refusal::lag_unknown);
  const auto ten_ms = [](auto& q) { q.max_lag_us = 10'000; };
  EXPECT_EQ(refusal([](auto& s) { s.lag_us = 10'001; }, ten_ms), Refusal::too_late);
  EXPECT_EQ(refusal(
                [](auto& s) {
                  s.lag_us = 10'000;
                  s.over_time = true;
                },
                ten_ms),
            Refusal::none)
      << "the argument stands in for the setting";
  EXPECT_EQ(refusal(same, [](auto& q) { q.primary_only = true; }), Refusal::primary_only);
}

TEST(Route, WhileThePrimaryIsSilentReadsGoOn) {
  RouteServer server = standby(1, us);
  server.lag_known = false;
  server.primary_answers = false;
  RouteQuery wanted = query();
  EXPECT_EQ(refusal_of(server, nullptr, wanted), Refusal::none);
  wanted.max_lag_us = 60 * second;
  EXPECT_EQ(refusal_of(server, nullptr, wanted), Refusal::lag_unknown) << "but not for who insists on a limit";
}

TEST(Route, TokensOfTheServersOwnSystem) {
  const TimelineEnd ends[] = {{1, 500}};
  RouteQuery wanted = query();
  wanted.ancestors = ends;
  const auto has = [&wanted](const Position& position, bool self = false) {
    RouteServer server = standby(1, us);
    server.is_self = self;
    wanted.required = {&position, 1};
    return refusal_of(server, nullptr, wanted) == Refusal::none;
  };
  EXPECT_TRUE(has({us_system, 2, 1000}));
  EXPECT_FALSE(has({us_system, 2, 1001}));
  EXPECT_TRUE(has({us_system, 1, 500}));
  EXPECT_FALSE(has({us_system, 1, 501})) << "lost in the promotion";
  EXPECT_FALSE(has({us_system, 3, 1})) << "the server has yet to follow";
  EXPECT_FALSE(has({eu_system, 2, 1}));
  wanted.ancestors = {};
  EXPECT_FALSE(has({us_system, 1, 500})) << "the history is not known";
  EXPECT_FALSE(has({us_system, 2, 1}, true)) << "this server said no itself";
  wanted.self_has_required = true;
  EXPECT_TRUE(has({eu_system, 9, 9999}, true)) << "and here yes";
}

TEST(Route, TokensOfOtherRegions) {
  const std::vector<RouteServer> servers = {primary(1, us), primary(2, eu), standby(2, eu)};
  std::vector<AppliedPositions> applied(3);
  applied[2] = {1, {{us_system, 2, 800}}};
  const std::vector<Position> token = {{us_system, 2, 800}, {eu_system, 2, 900}};
  RouteQuery wanted = query(eu);
  wanted.required = token;
  EXPECT_EQ(choose_server(servers, applied, wanted).index, 2U);
  applied[2].positions[0].lsn = 799;
  RouteChoice choice = choose_server(servers, applied, wanted);
  EXPECT_EQ(choice.index, 0U) << "nobody is known to have both, so the primary of home";
  EXPECT_EQ(reason_of(choice, servers), "the primary: the best replica does not have the write yet");
  applied[2].positions[0] = {us_system, 1, 9000};
  EXPECT_EQ(choose_server(servers, applied, wanted).index, 0U) << "another timeline says nothing";
}

TEST(Route, HomeOfAToken) {
  const std::vector<RouteServer> servers = {primary(1, us), primary(2, eu)};
  const auto home = [&servers](std::vector<Position> token, std::uint16_t own) { return home_of(servers, token, own); };
  EXPECT_EQ(home({}, 1), 1);
  EXPECT_EQ(home({{eu_system, 1, 1}}, 1), 2);
  EXPECT_EQ(home({{us_system, 1, 1}, {eu_system, 1, 1}}, 2), 2);
  EXPECT_EQ(home({{999, 1, 1}}, 2), 2) << "a stranger's";
}

TEST(Route, ASessionOnAStandbyGoesToThePrimary) {
  const std::vector<RouteServer> servers = {standby(1, us), primary(1, us)};
  RouteQuery wanted = query();
  wanted.primary_only = true;
  const RouteChoice choice = choose(servers, wanted);
  EXPECT_EQ(choice.index, 1U);
  EXPECT_EQ(reason_of(choice, servers), "the primary: a standby cannot tell where the session wrote last");
}

TEST(Route, WhoWritesIsNeverALeftBehindPrimary) {
  std::vector<RouteServer> servers = {primary(1, us), standby(1, us)};
  EXPECT_EQ(primary_of(servers, 1), 0U);
  servers[0].writes = false;
  servers[0].health = Health::diverged;
  EXPECT_EQ(primary_of(servers, 1), 2U);
  servers[1].in_recovery = false;
  servers[1].writes = true;
  servers[1].health = Health::promoted;
  EXPECT_EQ(primary_of(servers, 1), 1U);
  EXPECT_EQ(primary_of(servers, 3), 2U);
}

TEST(Route, SpreadsByWeight) {
  std::vector<RouteServer> servers(4, standby(1, us));
  servers[0] = primary(1, us);
  servers[1].weight = 1;
  servers[2].weight = 3;
  servers[3].weight = 0;
  std::mt19937_64 random(5);
  std::map<std::size_t, int> counts;
  RouteQuery wanted = query();
  for (int i = 0; i < 40'000; ++i) {
    wanted.random = random();
    ++counts[choose(servers, wanted).index];
  }
  EXPECT_EQ(counts[0] + counts[3], 0);
  EXPECT_NEAR(counts[1], 10'000, 600);
  EXPECT_NEAR(counts[2], 30'000, 600);
}

// Over random topologies: whatever is chosen as a replica is one that nothing speaks against, by rules written anew.
TEST(Route, NeverAServerThatMustNotBeRead) {
  std::mt19937_64 random(11);
  const auto pick = [&random](std::uint64_t below) {
    return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random);
  };
  const auto rarely = [&pick] { return pick(5) == 0; };
  int replicas = 0;
  for (int round = 0; round < 50'000; ++round) {
    std::vector<RouteServer> servers;
    std::vector<AppliedPositions> applied;
    for (std::uint64_t n = pick(7); n > 0; --n) {
      const auto member = static_cast<std::uint16_t>(1 + pick(2));
      RouteServer server = rarely() ? primary(member, pick(2) == 0 ? us : eu) : standby(member, pick(2) == 0 ? us : eu);
      if (rarely()) server.health = static_cast<Health>(pick(health_states));
      server.drained = rarely();
      server.paused = rarely();
      server.follows = !rarely();
      server.writes = !server.in_recovery && !rarely();
      server.sampled_at = now - static_cast<std::int64_t>(pick(4) * second);
      server.weight = static_cast<std::uint16_t>(pick(3));
      server.lag_known = !rarely();
      server.lag_us = static_cast<std::int64_t>(pick(100));
      server.over_time = rarely();
      server.over_bytes = rarely();
      server.primary_answers = !rarely();
      server.lsn = pick(20);
      servers.push_back(server);
      AppliedPositions has{};
      if (pick(2) == 0) has = {1, {{server.member == 1 ? eu_system : us_system, 2, pick(20)}}};
      applied.push_back(has);
    }
    std::vector<Position> token;
    if (pick(2) == 0) token.push_back({us_system, 2, 1 + pick(20)});
    if (pick(3) == 0) token.push_back({eu_system, 2, 1 + pick(20)});
    RouteQuery wanted = query(pick(2) == 0 ? us : eu);
    wanted.oldest_sample = now - 2 * second;
    wanted.max_lag_us = pick(2) == 0 ? -1 : static_cast<std::int64_t>(pick(100));
    wanted.required = token;
    wanted.primary_only = rarely();
    wanted.random = random();
    const RouteChoice choice = choose_server(servers, applied, wanted);
    if (choice.tier == RouteTier::nothing) {
      for (const RouteServer& each : servers)
        ASSERT_FALSE(each.member == 1 && (each.writes || (each.expected_primary && each.health != Health::diverged)));
      continue;
    }
    ASSERT_LT(choice.index, servers.size());
    const RouteServer& chosen = servers[choice.index];
    ASSERT_NE(reason_of(choice, servers), "");
    if (choice.tier == RouteTier::home_primary) {
      ASSERT_EQ(chosen.member, 1);
      ASSERT_FALSE(!chosen.writes && chosen.health == Health::diverged);
      continue;
    }
    ASSERT_FALSE(wanted.primary_only);
    ASSERT_FALSE(chosen.drained || chosen.paused || chosen.weight == 0);
    ASSERT_TRUE(chosen.health == Health::up || chosen.health == Health::promoted || chosen.health == Health::drained);
    ASSERT_GE(chosen.sampled_at, wanted.oldest_sample);
    ASSERT_EQ(chosen.in_recovery, choice.tier != RouteTier::region_primary);
    ASSERT_TRUE(chosen.in_recovery ? chosen.follows : chosen.writes);
    ASSERT_EQ(chosen.region == wanted.region, choice.tier != RouteTier::other_replica);
    if (chosen.in_recovery) {
      ++replicas;
      ASSERT_FALSE(chosen.over_bytes);
      const bool in_time = wanted.max_lag_us >= 0 ? chosen.lag_known && chosen.lag_us <= wanted.max_lag_us
                                                  : !chosen.over_time && (chosen.lag_known || !chosen.primary_answers);
      ASSERT_TRUE(in_time);
    }
    for (const Position& position : token) {
      const AppliedPositions& has = applied[choice.index];
      const bool there = position.system_id == chosen.system_id
                             ? position.lsn <= chosen.lsn
                             : has.count == 1 && has.positions[0].lsn >= position.lsn;
      ASSERT_TRUE(there);
    }
  }
  EXPECT_GT(replicas, 2000);
}

TEST(Route, ReasonsFit) {
  for (int tier = 0; tier < 4; ++tier) {
    for (int refusal = 0; refusal <= static_cast<int>(Refusal::lacks_write); ++refusal) {
      RouteServer server = primary(1, us);
      server.health = Health::down;
      char text[route_reason_size];
      write_reason({static_cast<RouteTier>(tier), 0, static_cast<Refusal>(refusal)}, server, text);
      EXPECT_LT(std::string(text).size() + 1, route_reason_size) << "cut: " << text;
      EXPECT_NE(std::string(text_of(static_cast<Refusal>(refusal))), "");
    }
  }
}

}  // namespace
}  // namespace meridian
