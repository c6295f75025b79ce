#include "core/token.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "core/error.hpp"

namespace meridian {
namespace {

using Oracle = std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint64_t>;

Token token_of(std::initializer_list<Position> positions) {
  Token token;
  for (const Position& position : positions) token.merge(Token(position));
  return token;
}

Oracle oracle_of(const Token& token) {
  Oracle oracle;
  for (const Position& position : token.positions()) oracle[{position.system_id, position.timeline}] = position.lsn;
  return oracle;
}

Token random_token(std::mt19937_64& random) {
  Token token;
  for (auto count = random() % 5; count > 0; --count) {
    token.merge(Token({random() % 3 + 1, static_cast<std::uint32_t>(random() % 3 + 1), random() % 9 + 1}));
  }
  return token;
}

void expect_refused(std::string_view text) {
  try {
    static_cast<void>(parse_token(text));
    FAIL() << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::malformed_text) << text;
    EXPECT_FALSE(error.hint().empty()) << text;
  }
}

constexpr Position sample{0x6a1b2c3d4e5f6071, 2, 0x3000148};

TEST(Token, TextIsShortAndPlain) {
  EXPECT_EQ(to_text(Token(sample)), "m1.6a1b2c3d4e5f6071-2-3000148");
  EXPECT_EQ(to_text(token_of({{2, 1, 9}, {1, 7, 5}, {1, 3, 4}})), "m1.1-3-4.1-7-5.2-1-9");
  EXPECT_EQ(to_text(Token{}), "");
}

TEST(Token, ParsesWhatItWrites) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    const Token token = random_token(random);
    EXPECT_EQ(parse_token(to_text(token)).token, token);
  }
  const Token extreme({UINT64_MAX, UINT32_MAX, UINT64_MAX});
  EXPECT_EQ(parse_token(to_text(extreme)).token, extreme);
}

TEST(Token, EveryOtherSpellingIsRefused) {
  for (const std::string_view text : {"m1",
                                      "m2.1-1-1",
                                      "M1.1-1-1",
                                      "m1.",
                                      "m1.1",
                                      "m1.1-1",
                                      "m1.1-1-",
                                      "m1.1-1-1.",
                                      "m1.1-1-1 ",
                                      " m1.1-1-1",
                                      "m1.1-1-1-1",
                                      "m1..1-1-1",
                                      "m1.0-1-1",
                                      "m1.1-0-1",
                                      "m1.1-1-0",
                                      "m1.01-1-1",
                                      "m1.1-01-1",
                                      "m1.1-1-01",
                                      "m1.A-1-1",
                                      "m1.1-1-A",
                                      "m1.1-1-1F",
                                      "m1.+1-1-1",
                                      "m1.-1-1-1",
                                      "m1.0x1-1-1",
                                      "m1.10000000000000000-1-1",
                                      "m1.1-100000000-1",
                                      "m1.1-1-10000000000000000",
                                      "m1.2-1-1.1-1-1",
                                      "m1.1-2-1.1-1-1",
                                      "m1.1-1-1.1-1-2",
                                      "m1.1-1-1.1-1-1",
                                      "m1.1-1-1_",
                                      "m1.1-1-1_00",
                                      "m1_00000000000000000000000000000000",
                                      "garbage",
                                      "'; DROP TABLE"})
    expect_refused(text);
  expect_refused(std::string("m1.1-1-1\0", 9));
  expect_refused("m1.1-1-1_0000000000000000000000000000000G");
  expect_refused("m1.1-1-1_000000000000000000000000000000000");
  expect_refused("m1.1-1-1_0000000000000000000000000000000A");
  expect_refused(std::string(1'000'000, 'm'));
  std::string seventeen = "m1";
  for (int i = 1; i <= 17; ++i) seventeen += "." + std::string(1, "0123456789abcdefg"[i % 16 == 0 ? 15 : i]) + "-1-1";
  expect_refused(seventeen);
}

TEST(Token, OneByteChangedIsAnotherTokenOrRefused) {
  const std::string text = to_text(token_of({sample, {7, 1, 9}}));
  const Token token = parse_token(text).token;
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (int byte = 1; byte < 256; ++byte) {
      std::string changed = text;
      changed[at] = static_cast<char>(byte);
      if (changed == text) continue;
      try {
        EXPECT_NE(parse_token(changed).token, token) << changed;
      } catch (const Error&) {
      }
    }
  }
}

TEST(Token, MergeTakesTheMaximumPerTimeline) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 2000; ++round) {
    const Token a = random_token(random);
    const Token b = random_token(random);
    Oracle expected = oracle_of(a);
    for (const auto& [key, lsn] : oracle_of(b)) expected[key] = std::max(expected[key], lsn);
    Token merged = a;
    merged.merge(b);
    EXPECT_EQ(oracle_of(merged), expected);
  }
}

TEST(Token, MergeLaws) {
  const auto merged = [](Token a, const Token& b) {
    a.merge(b);
    return a;
  };
  std::mt19937_64 random(3);
  for (int round = 0; round < 2000; ++round) {
    const Token a = random_token(random);
    const Token b = random_token(random);
    const Token c = random_token(random);
    EXPECT_EQ(merged(a, b), merged(b, a));
    EXPECT_EQ(merged(merged(a, b), c), merged(a, merged(b, c)));
    EXPECT_EQ(merged(a, a), a);
    EXPECT_EQ(merged(a, Token{}), a);
  }
}

TEST(Token, ATokenIsBounded) {
  Token token;
  for (std::uint64_t system = 1; system <= Token::max_positions; ++system) {
    token.merge(Token({UINT64_MAX - system, UINT32_MAX, UINT64_MAX}));
  }
  const Token full = token;
  EXPECT_EQ(to_text(full).size() + signature_text_size, max_token_text);
  EXPECT_EQ(parse_token(to_text(full)).token, full);
  token.merge(full);
  EXPECT_EQ(token, full);
  EXPECT_THROW(token.merge(Token({1, 1, 1})), Error);
  EXPECT_EQ(token, full) << "unchanged";
}

TEST(Token, TheShortWriterWritesTheSame) {
  const HmacKey secret(std::vector<std::uint8_t>{1, 2, 3});
  std::mt19937_64 random(4);
  for (int round = 0; round < 1000; ++round) {
    const Position position{random() | 1, static_cast<std::uint32_t>(random() | 1), random() | 1};
    const std::string text = to_text(Token(position));
    char buffer[short_token_size];
    write_token(position, {}, buffer);
    EXPECT_EQ(text, buffer);
    write_token(position, secret, buffer);
    EXPECT_EQ(text + to_text(sign_token(secret, text)), buffer);
  }
}

TEST(Token, SignaturesAreChecked) {
  const HmacKey secret(std::vector<std::uint8_t>{'s', 'e', 'c', 'r', 'e', 't'});
  const HmacKey other(std::vector<std::uint8_t>{'s', 'e', 'c', 'r', 'e', 'T'});
  const std::string text = to_text(Token(sample));
  const std::string signed_text = text + to_text(sign_token(secret, text));
  const ParsedToken parsed = parse_token(signed_text);
  EXPECT_EQ(parsed.token, Token(sample));
  EXPECT_EQ(parsed.signed_text, text);
  EXPECT_TRUE(is_signed_by(secret, parsed));
  EXPECT_FALSE(is_signed_by(other, parsed));
  EXPECT_FALSE(is_signed_by(secret, parse_token(text))) << "without a signature";
  std::string forged = signed_text;
  forged[text.size() - 1] = forged[text.size() - 1] == '1' ? '2' : '1';
  EXPECT_FALSE(is_signed_by(secret, parse_token(forged)));
}

}  // namespace
}  // namespace meridian
