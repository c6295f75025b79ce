#include "core/transaction_group.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace meridian {
namespace {

using Step = TransactionGroup::Step;
using Phase = TransactionGroup::Phase;

constexpr int max_size = 3;

// A group that has seen enough of its stream to hold Commits.
TransactionGroup warm() {
  TransactionGroup group;
  group.start();
  for (int i = 0; i < max_size; ++i) {
    EXPECT_EQ(group.begin(i, true, max_size), Step::pass);
    EXPECT_EQ(group.commit(true, max_size), Step::pass) << "the first transactions go alone";
  }
  return group;
}

TransactionGroup in_phase(Phase phase) {
  TransactionGroup group = warm();
  if (phase == Phase::outside) return group;
  EXPECT_EQ(group.begin(100, true, max_size), Step::pass);
  if (phase == Phase::holding) {
    EXPECT_EQ(group.commit(true, max_size), Step::hold);
  }
  EXPECT_EQ(group.phase(), phase);
  return group;
}

enum class Message { small_begin, large_begin, quiet_commit, busy_commit, other };

Step feed(TransactionGroup& group, Message message) {
  switch (message) {
    case Message::small_begin:
      return group.begin(200, true, max_size);
    case Message::large_begin:
      return group.begin(200, false, max_size);
    case Message::quiet_commit:
      return group.commit(true, max_size);
    case Message::busy_commit:
      return group.commit(false, max_size);
    case Message::other:
      return group.other();
  }
  return Step::pass;
}

TEST(TransactionGroup, EveryEdge) {
  struct Edge {
    Phase from;
    Message message;
    Step step;
    Phase to;
  };
  const std::vector<Edge> edges = {
      {Phase::outside, Message::small_begin, Step::pass, Phase::inside},
      {Phase::outside, Message::large_begin, Step::pass, Phase::inside},
      {Phase::outside, Message::quiet_commit, Step::pass, Phase::outside},
      {Phase::outside, Message::busy_commit, Step::pass, Phase::outside},
      {Phase::outside, Message::other, Step::pass, Phase::outside},
      {Phase::inside, Message::small_begin, Step::pass, Phase::inside},
      {Phase::inside, Message::large_begin, Step::pass, Phase::inside},
      {Phase::inside, Message::quiet_commit, Step::hold, Phase::holding},
      {Phase::inside, Message::busy_commit, Step::pass, Phase::outside},
      {Phase::inside, Message::other, Step::pass, Phase::inside},
      {Phase::holding, Message::small_begin, Step::join, Phase::inside},
      {Phase::holding, Message::large_begin, Step::release, Phase::outside},
      {Phase::holding, Message::quiet_commit, Step::release, Phase::outside},
      {Phase::holding, Message::busy_commit, Step::release, Phase::outside},
      {Phase::holding, Message::other, Step::release, Phase::outside},
  };
  for (const Edge& edge : edges) {
    TransactionGroup group = in_phase(edge.from);
    EXPECT_EQ(feed(group, edge.message), edge.step) << int(edge.from) << ' ' << int(edge.message);
    EXPECT_EQ(group.phase(), edge.to) << int(edge.from) << ' ' << int(edge.message);
  }
}

TEST(TransactionGroup, IsBounded) {
  TransactionGroup group = warm();
  EXPECT_EQ(group.begin(10, true, max_size), Step::pass);
  for (int i = 1; i < max_size; ++i) {
    EXPECT_EQ(group.commit(true, max_size), Step::hold);
    EXPECT_EQ(group.begin(10 + i, true, max_size), Step::join);
  }
  EXPECT_EQ(group.size(), max_size);
  EXPECT_EQ(group.first_commit(), 10U);
  EXPECT_EQ(group.commit(true, max_size), Step::pass) << "a full group holds nothing back";
}

TEST(TransactionGroup, OfOneIsNone) {
  TransactionGroup group;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(group.begin(i, true, 1), Step::pass);
    EXPECT_EQ(group.commit(true, 1), Step::pass);
  }
}

// A stream goes in and what comes out is read as the apply worker reads it: every transaction begins, commits at the
// position that its Begin named, and contains whole transactions of the sender in their order.
TEST(TransactionGroup, DeliversWholeTransactionsInOrder) {
  std::mt19937 random(7);
  int joined = 0;
  for (int history = 0; history < 2000; ++history) {
    TransactionGroup group;
    group.start();
    int sent = 0;       // transactions of the sender
    int delivered = 0;  // of those, contained in what was committed
    int open = 0;       // contained in the open transaction
    std::uint64_t expected = 0;
    std::uint64_t held = 0;
    const auto deliver_commit = [&](std::uint64_t position) {
      ASSERT_EQ(position, expected);
      delivered += open;
      open = 0;
    };
    const auto show = [&](auto feed_message, auto deliver) {
      Step step = feed_message();
      if (step == Step::release) {
        deliver_commit(group.first_commit());
        held = 0;
        step = feed_message();
      }
      ASSERT_NE(step, Step::release);
      deliver(step);
    };
    for (int i = 0; i < 40; ++i) {
      const auto position = static_cast<std::uint64_t>(++sent);
      const bool small = random() % 4 != 0;
      show([&] { return group.begin(position, small, max_size); },
           [&](Step step) {
             if (step == Step::join) {
               ASSERT_NE(held, 0U);
               ASSERT_TRUE(small);
               held = 0;
               ++joined;
             } else {
               ASSERT_EQ(open, 0);
               expected = position;
             }
             ++open;
             ASSERT_LE(open, max_size);
           });
      if (random() % 2 == 0) show([&] { return group.other(); }, [](Step step) { ASSERT_EQ(step, Step::pass); });
      const bool quiet = random() % 4 != 0;
      show([&] { return group.commit(quiet, max_size); },
           [&](Step step) {
             if (step == Step::hold) {
               held = position;
             } else {
               deliver_commit(group.first_commit());
             }
           });
      if (random() % 4 == 0) show([&] { return group.other(); }, [](Step step) { ASSERT_EQ(step, Step::pass); });
      ASSERT_EQ(delivered + open, sent) << "nothing is lost";
    }
  }
  EXPECT_GT(joined, 1000);
}

}  // namespace
}  // namespace meridian
