#include "core/session_file.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "unit/session_tables.hpp"

namespace meridian {
namespace {

using test::key_of;
using test::OwnedSessionTable;

constexpr SessionFileOrigin origin{4711, 0x3000028, 3};

std::vector<std::uint8_t> file_of(const SessionTable& table) {
  std::vector<std::uint8_t> file(session_file_size(table, origin.timeline));
  if (!file.empty()) write_session_file(table, origin, file);
  return file;
}

OwnedSessionTable some_table(std::uint32_t sessions, std::uint32_t places) {
  OwnedSessionTable table(places);
  table.begin_all(origin.timeline, {100, 10});
  for (std::uint32_t i = 0; i < sessions; ++i) table.note(key_of(i), {200 + i, 20 + i});
  return table;
}

TEST(SessionFile, BringsEverythingBack) {
  const OwnedSessionTable table = some_table(1000, 5000);
  OwnedSessionTable restored(5000);
  ASSERT_TRUE(read_session_file(file_of(table), origin, restored));
  EXPECT_EQ(restored.total(), 1000U);
  for (std::uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(restored.last_write(key_of(i)), table.last_write(key_of(i)));
  for (std::uint32_t i = 0; i < restored.partitions(); ++i) {
    EXPECT_TRUE(restored.is(i, SessionRole::authority, origin.timeline));
    EXPECT_EQ(restored.floor(i), (LastWrite{100, 10}));
  }
}

TEST(SessionFile, ASmallerTableRaisesItsFloors) {
  OwnedSessionTable table = some_table(1000, 5000);
  table.forget(key_of(7));
  for (const std::uint32_t places : {1U, 10U, 600U}) {
    OwnedSessionTable restored(places);
    ASSERT_TRUE(read_session_file(file_of(table), origin, restored));
    EXPECT_LE(restored.total(), restored.partitions() * restored.capacity());
    for (std::uint32_t i = 0; i < 1000; ++i)
      EXPECT_GE(restored.last_write(key_of(i)).lsn, table.last_write(key_of(i)).lsn);
  }
}

TEST(SessionFile, OnlyAnAuthorityIsKept) {
  EXPECT_EQ(session_file_size(SessionTable(), origin.timeline), 0U);
  OwnedSessionTable table(1000);
  EXPECT_EQ(session_file_size(table, origin.timeline), 0U) << "nothing is known";
  table.begin_all(origin.timeline, {1, 1});
  EXPECT_GT(session_file_size(table, origin.timeline), 0U);
  EXPECT_EQ(session_file_size(table, origin.timeline + 1), 0U) << "of another timeline";
  table.begin(1, SessionRole::mirror, origin.timeline, {});
  EXPECT_EQ(session_file_size(table, origin.timeline), 0U) << "a part is a mirror";
}

TEST(SessionFile, IsOfOneMomentOfOneServer) {
  const std::vector<std::uint8_t> file = file_of(some_table(10, 100));
  for (const SessionFileOrigin other : {SessionFileOrigin{4712, origin.checkpoint, origin.timeline},
                                        SessionFileOrigin{origin.system_id, 0x3000029, origin.timeline},
                                        SessionFileOrigin{origin.system_id, origin.checkpoint, 4}}) {
    OwnedSessionTable table(100);
    EXPECT_FALSE(read_session_file(file, other, table));
    EXPECT_EQ(table.role(0), SessionRole::nothing) << "the table is as it was";
  }
  SessionTable off;
  EXPECT_FALSE(read_session_file(file, origin, off));
}

TEST(SessionFile, AnyDamageIsSeen) {
  const std::vector<std::uint8_t> file = file_of(some_table(20, 100));
  OwnedSessionTable table(100);
  for (std::size_t size = 0; size < file.size(); ++size)
    EXPECT_FALSE(read_session_file(std::span(file).first(size), origin, table));
  std::mt19937_64 random(1);
  for (int i = 0; i < 5'000; ++i) {
    std::vector<std::uint8_t> damaged = file;
    damaged[random() % damaged.size()] ^= static_cast<std::uint8_t>(1 + random() % 255);
    ASSERT_FALSE(read_session_file(damaged, origin, table));
  }
  std::vector<std::uint8_t> longer = file;
  longer.push_back(0);
  EXPECT_FALSE(read_session_file(longer, origin, table));
  EXPECT_EQ(table.role(0), SessionRole::nothing);
}

}  // namespace
}  // namespace meridian
