#include "core/row_state_codec.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

#include "core/error.hpp"
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

Raw raw(std::initializer_list<int> values) {
  Raw result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

/// Refused, or the canonical form of what it decodes to.
void expect_canonical_or_refused(const Raw& bytes) {
  RowState state;
  try {
    state = decode(bytes);
  } catch (const Error& error) {
    ASSERT_TRUE(error.kind() == ErrorKind::malformed_binary || error.kind() == ErrorKind::limit_exceeded);
    return;
  }
  ASSERT_EQ(bytes_of(state), bytes);
}

::testing::AssertionResult refuses(const Raw& bytes, ErrorKind kind = ErrorKind::malformed_binary) {
  try {
    const RowState state = decode(bytes);
    return ::testing::AssertionFailure() << "decoded to " << to_text(state);
  } catch (const Error& error) {
    if (error.kind() == kind) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << error.what();
  }
}

RowState quiet_row(const Shape& shape, Actor actor, Hlc birth, Hlc last) {
  RowState state = insert_row(shape, actor, birth, {});
  write_group(state, shape, actor, last);
  return state;
}

TEST(RowStateCodec, QuietRowIsSmall) {
  Shape by_birth;
  by_birth.groups.push_back(default_group);
  const Actor actor = Actor::from_parts(127, 127);
  constexpr std::uint64_t year = 365ULL * 24 * 3600 * 1000;
  const Hlc usual = Hlc::from_parts(1'750'000'000'000, 0);
  EXPECT_EQ(bytes_of(quiet_row(by_birth, actor, usual, Hlc::from_parts(usual.milliseconds() + year, 1))).size(), 18U);
  EXPECT_EQ(
      bytes_of(quiet_row(shape_of_latest(), actor, usual, Hlc::from_parts(usual.milliseconds() + year, 1))).size(),
      14U);
  const Hlc worst = Hlc::from_parts(4'500'000'000'000, 0xffff);  // year 2112, a full counter
  EXPECT_LE(bytes_of(quiet_row(by_birth, actor, worst, Hlc::from_parts(worst.milliseconds() + year, 0xffff))).size(),
            23U);
}

TEST(RowStateCodec, ExactBytes) {
  EXPECT_EQ(bytes_of(RowState{}), raw({1, 0, 0, 0}));

  RowState state;
  state.entries.push_back({Actor::from_parts(1, 3), Hlc::from_parts(10, 2), Hlc::from_parts(300, 0), {}});
  state.groups.push_back({default_group, Hlc::from_parts(10, 2), Hlc::from_parts(300, 0), Actor::from_parts(1, 3)});
  EXPECT_EQ(bytes_of(state), raw({1, 0x15, 10, 0, 2, 3, 1, 0xa2, 2, 0}));

  state.entries[0].contributions.push_back({2, Decimal::parse("-0.50")});
  state.groups[0].stamp = Hlc::from_parts(11, 0);
  state.lattices.push_back({4, Hlc::from_parts(10, 2)});
  EXPECT_EQ(bytes_of(state), raw({1, 0x1b, 10, 0, 2, 3, 1, 0xa2, 2, 0, 1, 2, 4, 99, 1, 0, 2, 1, 0, 1, 8}));
}

RowState row_with_sets() {
  RowState state;
  state.entries.push_back({Actor::from_parts(1, 3), Hlc::from_parts(10, 2), Hlc::from_parts(300, 0), {}});
  state.sets.push_back({4, Hlc::from_parts(10, 2)});
  state.sets.push_back({5, Hlc::from_parts(11, 0)});
  const auto dot = [&](Slot slot, std::string element, Hlc stamp, std::string value) {
    state.dots.push_back(
        {slot, std::move(element), Actor::from_parts(1, 3), Hlc::from_parts(10, 2), stamp, std::move(value)});
  };
  dot(4, "", Hlc::from_parts(10, 2), "");
  dot(4, "ab", Hlc::from_parts(12, 0), "");
  dot(5, "k", Hlc::from_parts(300, 0), "7");
  return state;
}

TEST(RowStateCodec, ExactBytesOfSets) {
  const Raw bytes = raw({2,  0x11, 10, 0, 2, 3,   1,   0xa2, 2, 0, 0,  // format, entry, no group
                         1,  2,                                        // sections, sets
                         8,  2,    0,  0, 4, 'a', 'b', 2,    2, 0,     // slot 4, of the only life
                         11, 1,    0,  1, 3, 'k', 1,   '7',  1});      // slot 5, of a later one
  EXPECT_EQ(bytes_of(row_with_sets()), bytes);
  EXPECT_EQ(decode(bytes), row_with_sets());
}

TEST(RowStateCodec, RefusesOtherFormsOfSets) {
  const auto with_sets = [](std::initializer_list<int> sets) {
    Raw bytes = raw({2, 0x11, 10, 0, 2, 3, 1, 0xa2, 2, 0, 0});
    for (const int value : sets) bytes.push_back(static_cast<std::byte>(value));
    return bytes;
  };
  EXPECT_FALSE(refuses(with_sets({1, 1, 8, 1, 2, 'a', 0})));
  EXPECT_TRUE(refuses(with_sets({0}))) << "no section";
  EXPECT_TRUE(refuses(with_sets({4}))) << "an unknown section";
  EXPECT_TRUE(refuses(with_sets({1, 0}))) << "no set";
  EXPECT_TRUE(refuses(with_sets({1, 1, 9, 0, 2, 0}))) << "the largest birth, written out";
  EXPECT_TRUE(refuses(with_sets({1, 2, 8, 0, 8, 0}))) << "one set twice";
  EXPECT_TRUE(refuses(with_sets({1, 1, 8, 2, 2, 'a', 0, 2, 'a', 0}))) << "one element twice";
  EXPECT_TRUE(refuses(with_sets({1, 1, 8, 2, 2, 'b', 0, 2, 'a', 0}))) << "elements out of order";
  EXPECT_TRUE(refuses(with_sets({1, 1, 8, 1, 2, 'a', 4}))) << "an entry out of range";
  EXPECT_TRUE(refuses(with_sets({1, 1, 8, 1, 2, 'a', 3}))) << "an unknown form of stamp";
  EXPECT_TRUE(refuses(with_sets({1, 1, 8, 1, 2, 'a', 2, 0, 2}))) << "the birth, written out";
  EXPECT_TRUE(refuses(with_sets({1, 1, 8, 1, 2, 'a', 2, 0xa3, 2, 0}))) << "newer than its writer";
  EXPECT_TRUE(refuses(with_sets({1, 1, 8, 1, 3, 'a', 0, 0}))) << "an empty value, written out";
  EXPECT_TRUE(refuses(with_sets({1, 1, 8, 1, 0xfe, 0xff, 0xff, 0x7f, 'a', 0}))) << "an element longer than the rest";
  EXPECT_TRUE(refuses(with_sets({1, 1, 8, 0xff, 0x7f, 2, 'a', 0}))) << "more elements than bytes";
}

TEST(RowStateCodec, AppendsToWhatIsThere) {
  Bytes bytes;
  bytes.push_back(std::byte{42});
  encode(RowState{}, bytes);
  EXPECT_EQ(bytes.size(), 5U);
}

TEST(RowStateCodec, RoundTripOfReachableStates) {
  Random random(21);
  for (const Shape& shape : {shape_with_everything(), shape_of_latest()}) {
    for (int history = 0; history < 200; ++history) {
      RowHistory rows(shape, 3, random);
      for (int step = 0; step < 20; ++step) rows.step();
      for (const RowState& state : rows.images) {
        ASSERT_EQ(decode(bytes_of(state)), state);
        ASSERT_EQ(parse_text(to_text(state)), state);
      }
    }
  }
}

TEST(RowStateCodec, RoundTripOfWellFormedStates) {
  Random random(22);
  for (int i = 0; i < 20'000; ++i) {
    const RowState state = any_state(random);
    ASSERT_EQ(decode(bytes_of(state)), state);
    ASSERT_EQ(parse_text(to_text(state)), state);
  }
}

TEST(RowStateCodec, ChangedBytesAreRefusedOrCanonical) {
  Random random(23);
  for (int i = 0; i < 100'000 && !HasFatalFailure(); ++i) {
    Raw bytes = bytes_of(any_state(random));
    for (auto changes = 1 + below(random, 3); changes > 0 && !bytes.empty(); --changes) {
      const auto position = static_cast<std::ptrdiff_t>(below(random, bytes.size()));
      switch (below(random, 4)) {
        case 0:
          bytes[static_cast<std::size_t>(position)] ^= static_cast<std::byte>(1U << below(random, 8));
          break;
        case 1:
          bytes[static_cast<std::size_t>(position)] = static_cast<std::byte>(random());
          break;
        case 2:
          bytes.erase(bytes.begin() + position);
          break;
        default:
          bytes.insert(bytes.begin() + position, static_cast<std::byte>(random()));
      }
    }
    expect_canonical_or_refused(bytes);
  }
}

TEST(RowStateCodec, EveryPrefixIsRefused) {
  Random random(24);
  for (int i = 0; i < 2000; ++i) {
    Raw bytes = bytes_of(any_state(random));
    while (!bytes.empty()) {
      bytes.pop_back();
      ASSERT_TRUE(refuses(bytes));
    }
  }
}

TEST(RowStateCodec, RefusesOtherFormsOfTheSameState) {
  EXPECT_TRUE(refuses({}));
  EXPECT_TRUE(refuses(raw({2, 0, 0, 0}))) << "another format";
  EXPECT_TRUE(refuses(raw({1, 0, 0, 0, 0}))) << "a byte too many";
  EXPECT_TRUE(refuses(raw({1, 0x80, 0, 0, 0}))) << "a number in two bytes instead of one";
  EXPECT_TRUE(refuses(raw({1, 0, 5, 0}))) << "an empty state with a base";
  EXPECT_TRUE(refuses(raw({1, 4, 0}))) << "a plain group without an entry";
  EXPECT_TRUE(refuses(raw({1, 8, 0, 0, 0}))) << "an empty list of lattices";
  EXPECT_TRUE(refuses(raw({1, 1, 0, 0, 0, 0}))) << "one birth without an entry";

  EXPECT_FALSE(refuses(raw({1, 0x15, 10, 0, 2, 3, 1, 5, 0})));
  EXPECT_TRUE(refuses(raw({1, 0x15, 9, 1, 2, 3, 1, 6, 0}))) << "a base below the smallest stamp";
  EXPECT_TRUE(refuses(raw({1, 0x14, 10, 3, 1, 0, 2, 5, 0}))) << "one birth, written per entry";
  EXPECT_TRUE(refuses(raw({1, 0x17, 10, 0, 2, 3, 1, 5, 0, 0}))) << "counters without contributions";
  EXPECT_TRUE(refuses(raw({1, 0x11, 10, 0, 2, 3, 1, 5, 0, 1, 0, 1}))) << "the plain group, written out";
  EXPECT_TRUE(refuses(raw({1, 0x11, 10, 0, 2, 3, 1, 5, 0, 1, 1, 0, 3, 1, 0, 2, 5, 0}))) << "a writer that is an entry";
  EXPECT_TRUE(refuses(raw({1, 0x11, 10, 0, 2, 3, 1, 5, 0, 1, 1, 2, 5, 0}))) << "a stamp that is the entry's";
  EXPECT_TRUE(refuses(raw({1, 0x11, 10, 0, 2, 3, 1, 5, 0, 1, 1, 3}))) << "a writer out of range";
  EXPECT_TRUE(refuses(raw({1, 0x1d, 10, 0, 2, 3, 1, 5, 0, 1, 9, 0, 2})))
      << "a lattice with the largest birth, written out";
  EXPECT_TRUE(refuses(raw({1, 0x25, 10, 0, 2, 3, 1, 5, 0, 3, 1, 6, 0}))) << "one entry twice";
  EXPECT_TRUE(refuses(raw({1, 0x25, 10, 0, 2, 3, 1, 5, 0, 2, 1, 6, 0}))) << "entries out of order";
}

TEST(RowStateCodec, RefusesBigNumbersInOddForms) {
  const auto with_amount = [](std::initializer_list<int> amount) {
    Raw bytes = raw({1, 0x17, 10, 0, 2, 3, 1, 5, 0, 1, 2});
    for (const int value : amount) bytes.push_back(static_cast<std::byte>(value));
    return bytes;
  };
  EXPECT_FALSE(refuses(with_amount({1, 6, 0, 0, 100})));
  EXPECT_TRUE(refuses(with_amount({1, 6, 0, 0, 0}))) << "a leading zero";
  EXPECT_TRUE(refuses(with_amount({1, 6, 0, 0, 9}))) << "fits 64 bits";
  EXPECT_TRUE(refuses(with_amount({1, 0}))) << "a zero without limbs";
  EXPECT_TRUE(refuses(with_amount({1, 6, 0x80, 0x94, 0xeb, 0xdc, 3, 0, 100}))) << "a limb of 10^9";
  EXPECT_TRUE(refuses(with_amount({0x80, 0x80, 2, 0}))) << "scale 16384";
}

TEST(RowStateCodec, CountsCannotAskForMemory) {
  EXPECT_TRUE(refuses(raw({1, 0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0}), ErrorKind::limit_exceeded));
  EXPECT_TRUE(refuses(raw({1, 0x80, 0x80, 4, 0}))) << "4096 entries in no bytes";
  EXPECT_TRUE(refuses(raw({1, 0, 0, 0xff, 0xff, 3}))) << "65535 groups in no bytes";
  EXPECT_TRUE(refuses(raw({1, 0x17, 10, 0, 2, 3, 1, 5, 0, 1, 2, 1, 0xfe, 0xff, 0xff, 0xff, 0x7f}))) << "limbs";
  EXPECT_TRUE(refuses(Raw(max_encoded_size + 1, std::byte{1}), ErrorKind::limit_exceeded));
}

TEST(RowStateCodec, RefusesAmountsThatNoNumericCanHold) {
  RowState state;
  state.entries.push_back({anna, at(0), at(1), amount(1, std::string(Decimal::max_integer_digits, '9'))});
  EXPECT_EQ(decode(bytes_of(state)), state);
  state.entries.front().contributions.front().amount += Decimal::from_int64(1);
  EXPECT_TRUE(refuses(bytes_of(state)));
}

TEST(RowStateCodec, LimitsHoldForEncodingToo) {
  RowState state;
  for (std::uint32_t i = 0; i < max_entries; ++i) state.entries.push_back({Actor{i}, at(0), at(1), {}});
  EXPECT_EQ(decode(bytes_of(state)), state);
  EXPECT_EQ(parse_text(to_text(state)), state);
  const std::string huge(Decimal::max_integer_digits, '9');
  RowState large = state;
  for (std::uint32_t i = 0; i < 20; ++i) large.entries[i].contributions.push_back({1, Decimal::parse(huge)});
  Bytes bytes;
  EXPECT_THROW(encode(large, bytes), Error);
  state.entries.push_back({Actor{max_entries}, at(0), at(1), {}});
  EXPECT_THROW(encode(state, bytes), Error);
  EXPECT_THROW((void)parse_text(to_text(state)), Error);
}

}  // namespace
}  // namespace meridian
