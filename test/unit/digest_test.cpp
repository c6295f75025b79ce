#include "core/digest.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace meridian {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

// The values travel between servers of any version and architecture, so they are fixed for good.
TEST(Digest, IsXxh3) {
  EXPECT_EQ(hash_bytes(bytes("")), 0x2d06800538d394c2U);
  EXPECT_EQ(digest_bytes(bytes(""), 0), (Digest{0x99aa06d3014798d8U, 0x6001c324468d497fU}));
}

TEST(Digest, DependsOnEveryByteAndOnTheSeed) {
  std::string text(300, 'x');
  const Digest before = digest_bytes(bytes(text), 1);
  EXPECT_NE(digest_bytes(bytes(text), 2), before);
  for (char& c : text) {
    c = 'y';
    EXPECT_NE(digest_bytes(bytes(text), 1), before);
    c = 'x';
  }
  EXPECT_EQ(digest_bytes(bytes(text), 1), before);
}

TEST(Digest, AddsLikeOneNumberOf128Bits) {
  Digest sum{1, ~std::uint64_t{0}};
  sum += Digest{2, 1};
  EXPECT_EQ(sum, (Digest{4, 0}));
  sum += Digest{~std::uint64_t{0}, ~std::uint64_t{0}};
  EXPECT_EQ(sum, (Digest{3, ~std::uint64_t{0}}));
}

TEST(Digest, SumDoesNotDependOnOrder) {
  std::mt19937_64 random(7);
  std::vector<Digest> rows;
  for (int i = 0; i < 1000; ++i) rows.push_back(digest_bytes(bytes(std::to_string(i)), 0));
  Digest expected;
  for (const Digest& row : rows) expected += row;
  for (int round = 0; round < 10; ++round) {
    std::shuffle(rows.begin(), rows.end(), random);
    Digest sum;
    for (const Digest& row : rows) sum += row;
    EXPECT_EQ(sum, expected);
  }
  rows[3] = digest_bytes(bytes("another"), 0);
  Digest other;
  for (const Digest& row : rows) other += row;
  EXPECT_NE(other, expected);
}

TEST(Buckets, AreAPrefixOfTheHash) {
  EXPECT_EQ(bucket_of(~std::uint64_t{0}, 0), 0U);
  EXPECT_EQ(bucket_of(~std::uint64_t{0}, 1), 1U);
  EXPECT_EQ(bucket_of(std::uint64_t{0xabcd} << 48, 8), 0xabU);
  EXPECT_EQ(bucket_of(std::uint64_t{0xabcd} << 48, 16), 0xabcdU);
}

TEST(Buckets, HoldAbout256Rows) {
  EXPECT_EQ(bucket_bits_for(0), 0);
  EXPECT_EQ(bucket_bits_for(256), 0);
  EXPECT_EQ(bucket_bits_for(257), 1);
  EXPECT_EQ(bucket_bits_for(1'000'000), 12);
  EXPECT_EQ(bucket_bits_for(~std::uint64_t{0}), most_bucket_bits);
}

}  // namespace
}  // namespace meridian
