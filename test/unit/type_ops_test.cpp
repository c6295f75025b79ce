#include "core/type_ops.hpp"

#include <gtest/gtest.h>

#include "core/counter.hpp"
#include "core/error.hpp"
#include "core/gset.hpp"
#include "unit/replicas.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

constexpr Actor anna{0x10001};

std::string text_of(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

TEST(TypeOps, KindsHaveNames) {
  EXPECT_EQ(type_kind("counter"), TypeKind::counter);
  EXPECT_EQ(type_kind("mvreg"), TypeKind::mvreg);
  EXPECT_EQ(type_kind("row_state"), TypeKind::none);
}

TEST(TypeOps, WorkOnBytes) {
  Counter left = Counter::literal(1);
  Counter right = left;
  left.add(anna, 2);
  right.add(Actor{7}, 3);
  Bytes merged;
  merge_values(TypeKind::counter, as_span(bytes_of(left)), as_span(bytes_of(right)), merged);
  EXPECT_EQ(to_text(Counter::decode(as_span(text_of(merged))).value()), "6");
  Bytes absorbed;
  absorb_value(TypeKind::counter, {}, as_span(bytes_of(Counter::literal(4))), anna, absorbed);
  EXPECT_EQ(Counter::decode(as_span(text_of(absorbed))).to_text(), "{1/1:+4}");
  EXPECT_THROW(merge_values(TypeKind::gset, as_span(bytes_of(left)), as_span(bytes_of(right)), merged), Error)
      << "bytes of another type";
}

TEST(TypeOps, OnlyLocalOperationsHaveALimit) {
  const std::string large(max_local_type_size - 10, 'x');
  const GrowSet left = GrowSet::literal({large});
  const GrowSet right = GrowSet::literal({large + "y"});
  Bytes merged;
  merge_values(TypeKind::gset, as_span(bytes_of(left)), as_span(bytes_of(right)), merged);
  EXPECT_GT(merged.size(), max_local_type_size);
  const std::string both = text_of(merged);
  Bytes out;
  EXPECT_THROW(absorb_value(TypeKind::gset, as_span(bytes_of(left)), as_span(both), anna, out), Error);
  out.clear();
  absorb_value(TypeKind::gset, as_span(both), as_span(both), anna, out);
  EXPECT_EQ(text_of(out), both) << "what merging made may stay";
  EXPECT_EQ(GrowSet::decode(as_span(both)).elements().size(), 2U);
}

TEST(TypeOps, HugeBytesAreRefusedUnread) {
  const std::string huge(max_type_size + 1, '\x12');
  try {
    (void)GrowSet::decode(as_span(huge));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::limit_exceeded);
  }
}

}  // namespace
}  // namespace meridian
