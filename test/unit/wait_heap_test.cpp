#include "core/wait_heap.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace meridian {
namespace {

class Heap : public WaitHeap {
 public:
  explicit Heap(std::uint32_t capacity) : Heap(capacity, std::vector<std::uint64_t>(bytes(capacity) / 8 + 1)) {}

 private:
  Heap(std::uint32_t capacity, std::vector<std::uint64_t> memory) : memory_(std::move(memory)) {
    static_cast<WaitHeap&>(*this) = WaitHeap(memory_.data(), capacity);
    reset(capacity);
  }
  std::vector<std::uint64_t> memory_;
};

TEST(WaitHeap, PlacesAreBounded) {
  Heap heap(2);
  const auto first = heap.take(10);
  const auto second = heap.take(11);
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_FALSE(heap.take(12));
  EXPECT_EQ(heap.taken(), 2U);
  heap.wait_for(*first, 5);
  heap.give_back(*first);
  EXPECT_EQ(heap.queued(), 0U);
  EXPECT_TRUE(heap.take(12));
}

TEST(WaitHeap, NobodyIsWokenEarlyOrForgotten) {
  std::mt19937_64 random(1);
  Heap heap(50);
  std::map<std::uint32_t, std::uint32_t> place_of;      // by owner
  std::multimap<std::uint64_t, std::uint32_t> waiting;  // the oracle: targets and owners
  const auto drop = [&](std::uint32_t owner) {
    for (auto it = waiting.begin(); it != waiting.end();) it = it->second == owner ? waiting.erase(it) : std::next(it);
  };
  std::uint32_t next_owner = 0;
  for (int step = 0; step < 50'000; ++step) {
    const auto some = [&] { return std::next(place_of.begin(), static_cast<long>(random() % place_of.size())); };
    switch (random() % 5) {
      case 0:
        if (const auto place = heap.take(next_owner)) {
          place_of[next_owner++] = *place;
        } else {
          EXPECT_EQ(place_of.size(), 50U);
        }
        break;
      case 1:
      case 2:
        if (!place_of.empty()) {
          const auto [owner, place] = *some();
          const std::uint64_t target = random() % 1000;
          drop(owner);
          waiting.emplace(target, owner);
          heap.wait_for(place, target);
        }
        break;
      case 3:
        if (!place_of.empty()) {
          const auto it = some();
          drop(it->first);
          if (random() % 2 == 0) {
            heap.leave(it->second);
          } else {
            heap.give_back(it->second);
            place_of.erase(it);
          }
        }
        break;
      case 4: {
        const std::uint64_t reached = random() % 1000;
        while (const auto owner = heap.pop(reached)) {
          bool found = false;
          for (auto it = waiting.begin(); it != waiting.end() && it->first <= reached; ++it) {
            if (it->second != *owner) continue;
            waiting.erase(it);
            found = true;
            break;
          }
          EXPECT_TRUE(found) << "woken early";
        }
        EXPECT_TRUE(waiting.empty() || waiting.begin()->first > reached) << "forgotten";
        break;
      }
    }
    ASSERT_EQ(heap.queued(), waiting.size());
    ASSERT_EQ(heap.taken(), place_of.size());
    if (waiting.empty()) {
      ASSERT_FALSE(heap.nearest());
    } else {
      ASSERT_EQ(heap.nearest(), waiting.begin()->first);
    }
  }
}

}  // namespace
}  // namespace meridian
