// How values are written: the modes that Debezium's options of the same names choose, and the types they apply to.
#pragma once

#include <cstdint>

namespace meridian::cdc {

enum class DecimalMode : std::uint8_t { precise, string, float64 };
enum class TimeMode : std::uint8_t { adaptive, adaptive_microseconds, connect, isostring, microseconds, nanoseconds };
enum class BinaryMode : std::uint8_t { bytes, base64, base64_url_safe, hex };
enum class IntervalMode : std::uint8_t { numeric, string };
enum class HstoreMode : std::uint8_t { json, map };

/// The defaults are Debezium's.
struct Modes {
  DecimalMode decimal = DecimalMode::precise;
  TimeMode time = TimeMode::adaptive;
  BinaryMode binary = BinaryMode::bytes;
  IntervalMode interval = IntervalMode::numeric;
  HstoreMode hstore = HstoreMode::json;
};

/// Types as far as events tell them apart.
enum class Kind : std::uint8_t {
  boolean,
  int16,
  int32,
  int64,
  oid,
  float4,
  float8,
  decimal,
  money,
  date,
  time,
  timetz,
  timestamp,
  timestamptz,
  interval,
  text,
  json,
  xml,
  uuid,
  enumeration,
  ltree,
  bytes,
  bit,   ///< bit(1), varbit(1): a boolean
  bits,  ///< any other length
  point,
  hstore,
  vector,
  half_vector,
  sparse_vector,
  unknown,  ///< left out, or bytes of the text
};

/// The type of a column, domains resolved.
struct Type {
  Kind kind = Kind::unknown;
  bool is_array = false;
  /// decimal: digits after the point, -1 if the column does not say. Times: digits of the fraction, -1 likewise. bits:
  /// the declared length, -1 likewise.
  std::int16_t scale = -1;
  std::int16_t precision = -1;  ///< decimal: digits altogether
  friend constexpr bool operator==(const Type&, const Type&) = default;
};

}  // namespace meridian::cdc
