#include "core/quiet_state.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "core/error.hpp"
#include "core/merge.hpp"
#include "core/row_state_codec.hpp"
#include "unit/random_rows.hpp"
#include "unit/rows.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

using Raw = std::vector<std::byte>;

Raw bytes_of(const RowState& state) {
  Bytes bytes;
  encode(state, bytes);
  return {bytes.begin(), bytes.end()};
}

/// What "quiet" means, said of the decoded state.
bool is_quiet(const RowState& state) {
  if (state.entries.empty() || state.entries.size() > QuietState::max_writers) return false;
  if (state.groups.size() != 1 || !state.lattices.empty() || !state.sets.empty()) return false;
  const Entry* leading = &state.entries.front();
  for (const Entry& entry : state.entries) {
    if (!entry.contributions.empty()) return false;
    const auto order = [](const Entry& e) { return std::tuple(e.birth, e.last, e.actor); };
    if (order(entry) > order(*leading)) leading = &entry;
  }
  return state.groups.front() == GroupStamp{default_group, leading->birth, leading->last, leading->actor};
}

void expect_same(const QuietState& quiet, const RowState& state) {
  ASSERT_EQ(quiet.count, state.entries.size());
  for (std::size_t i = 0; i < quiet.count; ++i) {
    EXPECT_EQ(quiet.entries[i].actor, state.entries[i].actor);
    EXPECT_EQ(quiet.entries[i].birth, state.entries[i].birth);
    EXPECT_EQ(quiet.entries[i].last, state.entries[i].last);
  }
  EXPECT_EQ(quiet.highest_stamp(), state.highest_stamp());
  EXPECT_EQ(quiet.leading().last, state.groups.front().stamp);
  EXPECT_EQ(quiet.leading().actor, state.groups.front().actor);
}

Shape only_default_group(bool delete_latest) {
  Shape shape;
  shape.groups.push_back(default_group);
  shape.delete_latest = delete_latest;
  return shape;
}

Shape busy() {
  Shape shape = only_default_group(false);
  shape.groups.push_back(3);
  shape.counters.push_back(1);
  shape.lattices.push_back(2);
  return shape;
}

TEST(QuietState, ReadsExactlyTheQuietStates) {
  Random random(1);
  int quiet_ones = 0;
  int others = 0;
  for (int i = 0; i < 3000; ++i) {
    RowHistory history(i % 4 == 0 ? busy() : only_default_group(i % 2 == 0), 1 + i % 5, random);
    for (int step = 0; step < 8; ++step) history.step();
    for (const RowState& state : history.images) {
      QuietState quiet;
      ASSERT_EQ(read_quiet(bytes_of(state), quiet), is_quiet(state)) << to_text(state);
      (is_quiet(state) ? quiet_ones : others) += 1;
      if (is_quiet(state)) expect_same(quiet, state);
    }
  }
  EXPECT_GT(quiet_ones, 5000);
  EXPECT_GT(others, 5000);
}

TEST(QuietState, ReadsNothingThatDecodeRefuses) {
  Random random(2);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    RowHistory history(only_default_group(i % 2 == 0), 1 + i % 3, random);
    for (int step = 0; step < 4; ++step) history.step();
    Raw bytes = bytes_of(history.any_image());
    if (below(random, 4) == 0) bytes.resize(below(random, bytes.size() + 3));
    for (auto changes = below(random, 3); changes > 0 && !bytes.empty(); --changes) {
      bytes[below(random, bytes.size())] = static_cast<std::byte>(below(random, 256));
    }
    QuietState quiet;
    if (!read_quiet(bytes, quiet)) continue;
    ++accepted;
    RowState state;
    ASSERT_NO_THROW(state = decode(bytes));
    ASSERT_TRUE(is_quiet(state));
    expect_same(quiet, state);
  }
  EXPECT_GT(accepted, 1000);
}

TEST(QuietState, SupersedingIsWhatMergeSays) {
  Random random(3);
  int superseded = 0;
  int not_superseded = 0;
  for (int i = 0; i < 8000; ++i) {
    const Shape shape = only_default_group(i % 2 == 0);
    RowHistory history(shape, 1 + i % 4, random);
    for (int step = 0; step < 10; ++step) history.step();
    const RowState& local = history.any_image();
    const RowState& incoming = history.any_image();
    QuietState mine;
    QuietState theirs;
    if (!read_quiet(bytes_of(local), mine) || !read_quiet(bytes_of(incoming), theirs)) continue;
    const Merge merged = merge(local, incoming, shape, Tombstone{});
    const bool wins = merged.state == incoming && merged.knowledge == Knowledge::older &&
                      merged.groups.front().take == Take::incoming;
    ASSERT_EQ(supersedes(theirs, mine), wins) << to_text(local) << " and " << to_text(incoming);
    (wins ? superseded : not_superseded) += 1;
  }
  EXPECT_GT(superseded, 300);
  EXPECT_GT(not_superseded, 300);
}

TEST(QuietState, RefusesAnEmptyStateAndNoBytes) {
  QuietState quiet;
  EXPECT_FALSE(read_quiet({}, quiet));
  EXPECT_FALSE(read_quiet(bytes_of(RowState{}), quiet));
}

}  // namespace
}  // namespace meridian
