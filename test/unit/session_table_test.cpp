#include "core/session_table.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "unit/session_tables.hpp"

namespace meridian {
namespace {

using test::key_of;
using test::OwnedSessionTable;

TEST(SessionName, IsPrintableAsciiOfAtMost64) {
  EXPECT_TRUE(is_session_name("user-42"));
  EXPECT_TRUE(is_session_name(" ~"));
  EXPECT_TRUE(is_session_name(std::string(64, 'x')));
  EXPECT_FALSE(is_session_name(""));
  EXPECT_FALSE(is_session_name(std::string(65, 'x')));
  EXPECT_FALSE(is_session_name("a\nb"));
  EXPECT_FALSE(is_session_name("a\x7f"));
  EXPECT_FALSE(is_session_name("gr\xc3\xbc\xc3\x9f"));
  EXPECT_FALSE(is_session_name(std::string_view("a\0b", 3)));
}

TEST(SessionName, SurvivesTheKey) {
  const std::string longest(64, 'y');
  EXPECT_EQ(name_in(session_key(longest).name), longest);
  EXPECT_EQ(name_in(session_key("a").name), "a");
  EXPECT_NE(session_key("a").hash, session_key("b").hash);
}

TEST(SessionTable, AMillionSessionsFitInto100Megabytes) {
  EXPECT_LE(SessionTable::bytes(1'000'000) + SessionTable::max_partitions * 128, 100'000'000U);
  EXPECT_GE(SessionTable::bytes(1'000'000), 1'000'000 * sizeof(SessionEntry));
}

TEST(SessionTable, HoldsAtLeastWhatWasAskedFor) {
  for (const std::uint32_t sessions : {1U, 2U, 255U, 256U, 513U, 10'000U, 32'769U}) {
    const OwnedSessionTable table(sessions);
    EXPECT_GE(table.partitions() * table.capacity(), sessions);
    EXPECT_LE(table.partitions(), SessionTable::max_partitions);
  }
  EXPECT_EQ(SessionTable().partitions(), 0U);
  EXPECT_EQ(SessionTable::partitions_for(0), 0U);
}

TEST(SessionTable, ChanceFillsNoPartitionEarly) {
  OwnedSessionTable table(10'000);
  table.begin_all(1, {1, 0});
  std::uint32_t gave_way = 0;
  for (std::uint64_t i = 0; i < 8'000; ++i) gave_way += table.note(key_of(i), {100 + i, 0}) ? 1 : 0;
  EXPECT_EQ(gave_way, 0U);
}

TEST(SessionTable, KeepsTheLatestOfASession) {
  OwnedSessionTable table(100);
  table.begin_all(1, {50, 5});
  EXPECT_EQ(table.last_write(key_of(1)), (LastWrite{50, 5})) << "who is unknown wrote at the floor";
  table.note(key_of(1), {200, 20});
  table.note(key_of(1), {100, 10});
  EXPECT_EQ(table.last_write(key_of(1)), (LastWrite{200, 20})) << "commits may be noted out of order";
  EXPECT_EQ(table.total(), 1U);
}

TEST(SessionTable, AForgottenSessionIsUnknown) {
  OwnedSessionTable table(100);
  table.begin_all(1, {50, 5});
  EXPECT_FALSE(table.forget(key_of(1)));
  table.note(key_of(1), {200, 20});
  EXPECT_TRUE(table.forget(key_of(1)));
  EXPECT_EQ(table.find(key_of(1)), nullptr);
  EXPECT_EQ(table.last_write(key_of(1)), (LastWrite{200, 20})) << "and has written at the floor, which rose";
  table.note(key_of(1), {150, 15});
  EXPECT_GE(table.last_write(key_of(1)).lsn, 200U) << "an earlier write that is noted late does not hide the later one";
}

TEST(SessionTable, TheLeastRecentNeighbourGivesWay) {
  OwnedSessionTable table(4);
  ASSERT_EQ(table.partitions() * table.capacity(), 4U);
  table.begin_all(1, {1, 0});
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_FALSE(table.note(key_of(i), {40 - i, 0}));
  EXPECT_TRUE(table.note(key_of(9), {100, 0}));
  EXPECT_EQ(table.find(key_of(3)), nullptr);
  EXPECT_EQ(table.floor(0).lsn, 37U);
  EXPECT_EQ(table.total(), 4U);
}

TEST(SessionTable, TheMirrorHasNoFloor) {
  OwnedSessionTable table(1);
  table.begin(0, SessionRole::mirror, 7, {});
  EXPECT_TRUE(table.is(0, SessionRole::mirror, 7));
  EXPECT_FALSE(table.is(0, SessionRole::mirror, 8));
  EXPECT_FALSE(table.is(0, SessionRole::authority, 7));
  table.note(key_of(1), {200, 20});
  table.note(key_of(2), {100, 20});
  EXPECT_EQ(table.floor(0).lsn, 0U);
  EXPECT_EQ(table.last_write(key_of(2)).lsn, 100U) << "it says what the primary said";
}

TEST(SessionTable, ASweepGoesInSteps) {
  OwnedSessionTable table(100);
  table.begin_all(1, {1, 0});
  for (std::uint64_t i = 0; i < 100; ++i) table.note(key_of(i), {10 + i, static_cast<std::int64_t>(i)});
  // Older than 20, or older than 50 and passed up to 10 + 39.
  const SessionExpiry expiry{20, 50, 49};
  std::uint32_t from = 0;
  std::uint32_t dropped = 0;
  int steps = 0;
  do {
    const auto sweep = table.sweep(0, from, 30, expiry);
    from = sweep.next;
    dropped += sweep.dropped;
    ++steps;
  } while (from != 0);
  EXPECT_EQ(steps, 4);
  EXPECT_EQ(dropped, 40U);
  EXPECT_EQ(table.find(key_of(39)), nullptr);
  ASSERT_NE(table.find(key_of(40)), nullptr);
  EXPECT_EQ(table.floor(0), (LastWrite{49, 39}));
}

/// What the table must say: never less than the truth, and the truth for who is in it.
class Oracle {
 public:
  explicit Oracle(OwnedSessionTable& table) : table_(table) {}
  void note(std::uint64_t session, std::uint64_t lsn) {
    std::uint64_t& last = last_[session];
    last = std::max(last, lsn);
  }
  void check(std::uint64_t session) const {
    const auto found = last_.find(session);
    const std::uint64_t truth = found == last_.end() ? 0 : found->second;
    const LastWrite said = table_.last_write(key_of(session));
    ASSERT_GE(said.lsn, truth) << "session " << session;
    const SessionEntry* const entry = table_.find(key_of(session));
    if (entry == nullptr) return;
    ASSERT_EQ(name_in(entry->name), "user-" + std::to_string(session));
    ASSERT_TRUE(entry->write.lsn == truth || entry->write.lsn <= table_.floor(table_.partition_of(key_of(session))).lsn)
        << "exact, unless lifted to the floor";
  }

 private:
  OwnedSessionTable& table_;
  std::map<std::uint64_t, std::uint64_t> last_;
};

TEST(SessionTable, NeverSaysLessThanWasNoted) {
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    std::mt19937_64 random(seed);
    OwnedSessionTable table(1 + static_cast<std::uint32_t>(random() % 700));
    table.begin_all(1, {1, 0});
    Oracle oracle(table);
    const std::uint64_t sessions = 1 + random() % 1000;
    std::uint64_t lsn = 10;
    for (int step = 0; step < 5'000; ++step) {
      const std::uint64_t session = random() % sessions;
      switch (random() % 8) {
        case 0:
          table.forget(key_of(session));
          break;
        case 1: {
          const auto partition = static_cast<std::uint32_t>(random() % table.partitions());
          const auto from = static_cast<std::uint32_t>(random() % table.capacity());
          table.sweep(partition, from, 5, {static_cast<std::int64_t>(random() % lsn), INT64_MAX, random() % lsn});
          break;
        }
        default: {
          lsn += random() % 3;
          const std::uint64_t noted = lsn - random() % 10;  // commits are noted late
          table.note(key_of(session), {noted, static_cast<std::int64_t>(noted)});
          oracle.note(session, noted);
        }
      }
      oracle.check(session);
      oracle.check(random() % sessions);
      if (HasFatalFailure()) return;
    }
    std::uint32_t visited = 0;
    for (std::uint32_t i = 0; i < table.partitions(); ++i) table.for_each(i, [&](const SessionEntry&) { ++visited; });
    EXPECT_EQ(visited, table.total());
    for (std::uint64_t i = 0; i < sessions; ++i) oracle.check(i);
  }
}

}  // namespace
}  // namespace meridian
