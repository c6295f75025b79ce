#include "core/cdc_event.hpp"

#include "unit/cdc_text.hpp"

namespace meridian::cdc {
namespace {

std::string text_of(const Position& position, std::uint64_t end = 0) {
  return written([&](Buffer& out) { write_position(out, position, end); });
}

std::string frame_of(const Event& event) {
  return written([&](Buffer& out) {
    write_event_header(out, event);
    out.append(event.topic);
    for (const auto& part : {event.key, event.value, event.headers}) out.append(part.value_or(""));
  });
}

TEST(CdcEvent, PositionsAreText) {
  EXPECT_EQ(text_of({0x16B3748, 0x16B3700, 3}), "0/16B3748,0/16B3700,3");
  EXPECT_EQ(text_of({0x16B3748, 0x16B3700, 3}, 0x1000016B3778), "0/16B3748,0/16B3700,3,1000/16B3778");
  EXPECT_EQ(text_of({~0ULL, ~0ULL, ~0ULL}), "FFFFFFFF/FFFFFFFF,FFFFFFFF/FFFFFFFF,18446744073709551615");
}

TEST(CdcEvent, OnlyPositionsAreRead) {
  const auto position = parse_position("0/16B3748,0/16B3700,3,0/16B3778");
  ASSERT_TRUE(position);
  EXPECT_EQ(position->position, (Position{0x16B3748, 0x16B3700, 3}));
  EXPECT_EQ(position->end_lsn, 0x16B3778U);
  for (const char* text :
       {"", "0/1", "0/1,0/1", "0/1,0/1,", "0/1,0/1,-1", "0/1,0/1,01", "0/1,0/1,1 ", "0/1,0/1,1,0/0", "0/a,0/1,1",
        "00/1,0/1,1", "/1,0/1,1", "0/123456789,0/1,1", "0/1,0/1,18446744073709551616"}) {
    EXPECT_FALSE(parse_position(text)) << text;
  }
}

TEST(CdcEvent, PositionsGrowAlongTheStream) {
  const Position first{100, 90, 0};
  EXPECT_TRUE((Position{100, 50, 1}.is_after(first)));  // the LSN does not decide
  EXPECT_TRUE((Position{101, 10, 0}.is_after(first)));
  EXPECT_FALSE(first.is_after(first));
  EXPECT_FALSE((Position{99, 98, 7}.is_after(first)));
}

TEST(CdcEvent, FramesReadBack) {
  const Event event{{0x20, 0x10, 1}, 0x28, "db.public.t", R"({"id":1})", R"({"a":"\n"})", R"({"h":1})"};
  const std::string frame = frame_of(event);
  EXPECT_EQ(frame, "E 0/20,0/10,1 0/28 11 8 10 7\ndb.public.t{\"id\":1}{\"a\":\"\\n\"}{\"h\":1}");
  const auto read = decode_event(frame);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->position, event.position);
  EXPECT_EQ(read->end_lsn, 0x28U);
  EXPECT_EQ(read->topic, event.topic);
  EXPECT_EQ(read->key, event.key);
  EXPECT_EQ(read->value, event.value);
  EXPECT_EQ(read->headers, event.headers);
  for (std::size_t length = 0; length < frame.size(); ++length) EXPECT_FALSE(decode_event(frame.substr(0, length)));
  EXPECT_FALSE(decode_event(frame + "x"));
}

TEST(CdcEvent, FramesAreTakenOneAfterAnother) {
  const Event first{{0x20, 0x10, 0}, 0, "t", R"({"id":1})", std::nullopt, std::nullopt};
  const Event second{{0x20, 0x10, 1}, 0x28, "t", R"({"id":2})", R"({"a":1})", std::nullopt};
  const std::string frames = frame_of(first) + frame_of(second);
  std::string_view rest = frames;
  const auto one = take_event(&rest);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->key, first.key);
  EXPECT_FALSE(one->value);
  const auto two = take_event(&rest);
  ASSERT_TRUE(two);
  EXPECT_EQ(two->position, second.position);
  EXPECT_EQ(two->value, second.value);
  EXPECT_TRUE(rest.empty());
  EXPECT_FALSE(take_event(&rest));
  rest = std::string_view(frames).substr(0, frames.size() - 1);
  EXPECT_TRUE(take_event(&rest));
  EXPECT_FALSE(take_event(&rest));
}

TEST(CdcEvent, ATombstoneHasNoValue) {
  const std::string tombstone = frame_of({{1, 1, 0}, 0, "t", "k", std::nullopt, std::nullopt});
  const auto read = decode_event(tombstone);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->key, "k");
  EXPECT_FALSE(read->value);
  EXPECT_FALSE(read->headers);
  const std::string nothing = frame_of({{1, 1, 0}, 0, "t", std::nullopt, "", std::nullopt});
  const auto empty = decode_event(nothing);
  ASSERT_TRUE(empty);
  EXPECT_FALSE(empty->key);
  EXPECT_EQ(empty->value, "");
}

TEST(CdcEvent, Lsns) {
  EXPECT_EQ(parse_lsn("16/B374D848"), 0x16B374D848U);
  EXPECT_FALSE(parse_lsn("16/b374d848"));
  EXPECT_FALSE(parse_lsn("16"));
}

}  // namespace
}  // namespace meridian::cdc
