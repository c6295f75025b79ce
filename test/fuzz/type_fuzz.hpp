// One fuzzer for each explicit type: input is tried as bytes and as text. Refused, or exactly what its state is written
// as; and what was read merges by the laws.
#pragma once

#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "core/type_codec.hpp"
#include "fuzz/fuzz.hpp"

namespace meridian::fuzz {

template <typename Type>
std::vector<std::byte> bytes_of(const Type& value) {
  Bytes bytes;
  value.encode(bytes);
  return {bytes.begin(), bytes.end()};
}

template <typename Type>
void check_value(const Type& value, Type other) {
  check(Type::decode(bytes_of(value)) == value, "bytes are lossless");
  check(Type::parse(value.to_text()) == value, "text is lossless");
  (void)value.to_json();
  (void)value.value_key();
  const Actor actor = Actor::from_parts(1, 1);
  Type taken = value;
  try {
    taken = Type::absorb(value, other, actor);
    check(Type::compare_values(taken, other) == 0, "an assignment has its value");
  } catch (const Error& error) {
    check(error.kind() == ErrorKind::out_of_range || error.kind() == ErrorKind::against_rule ||
              error.kind() == ErrorKind::limit_exceeded,
          "only a limit keeps an assignment from being one");
  }
  Type above = value;
  above.merge(taken);
  check(above == taken, "an assignment is inflationary");
  Type left = value;
  left.merge(other);
  other.merge(value);
  check(left == other, "merge is commutative");
  check(Type::decode(bytes_of(left)) == left, "a merged state is well-formed");
  other.merge(value);
  check(left == other, "merge is idempotent");
}

/// The input, and the input after its first half: two states that may have much in common.
template <typename Type>
int fuzz_type(const std::uint8_t* data, std::size_t size) {
  Type second;
  try {
    second = Type::decode(as_bytes(data + size / 2, size - size / 2));
  } catch (const Error&) {
  }
  try {
    const Type value = Type::decode(as_bytes(data, size));
    check(std::ranges::equal(bytes_of(value), as_bytes(data, size)), "decoding then encoding is the identity");
    check_value(value, second);
    return 0;
  } catch (const Error& error) {
    check(error.kind() == ErrorKind::malformed_binary, "bytes are refused as bytes");
  }
  try {
    const Type first = Type::decode(as_bytes(data, size / 2));
    check_value(first, second);
    return 0;
  } catch (const Error&) {
  }
  try {
    const Type value = Type::parse(as_text(data, size));
    check(value.to_text() == as_text(data, size), "parsing then printing is the identity");
    check_value(value, second);
  } catch (const Error& error) {
    check(error.kind() == ErrorKind::malformed_text, "text is refused as text");
  }
  return 0;
}

}  // namespace meridian::fuzz
