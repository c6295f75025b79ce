// meridian.mvreg: a text that keeps every value of concurrent writes, until a write that has seen them.
//
// Every value carries the dot of its write; a version vector says which writes this state has seen. A write replaces
// all values seen. Merge: values that both have, and those of either side that the other has not seen. With a vector
// for all values instead of dots, values would pile up that a later write had replaced. Source: Shapiro et al. (2011),
// and the dotted values of Riak.
//
// Invariants: values sorted by dot, no two alike; the vector covers every dot.
#pragma once

#include <compare>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/type_codec.hpp"

namespace meridian {

class MultiValueRegister {
 public:
  static constexpr TypeKind kind = TypeKind::mvreg;
  static constexpr const char* name = "mvreg";

  struct Value {
    Dot dot;
    std::string text;
    friend bool operator==(const Value&, const Value&) = default;
  };

  /// A value that nobody in particular wrote. Where two different literals meet, one of them stays.
  [[nodiscard]] static MultiValueRegister literal(std::string_view value);

  /// Sorted by their bytes, each once; none if it was never written.
  [[nodiscard]] std::vector<std::string> values() const;
  void write(Actor actor, std::string_view value);

  void merge(const MultiValueRegister& other);
  /// What a local assignment of `after` over `before` means: `after` itself if it is `before` with operations of
  /// `actor` alone; else `before`, with the values of `after` written over it if they differ.
  [[nodiscard]] static MultiValueRegister absorb(const MultiValueRegister& before, const MultiValueRegister& after,
                                                 Actor actor);

  void encode(Bytes& out) const;
  [[nodiscard]] static MultiValueRegister decode(std::span<const std::byte> bytes);
  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static MultiValueRegister parse(std::string_view text);
  [[nodiscard]] std::string to_json() const;

  [[nodiscard]] static std::strong_ordering compare_values(const MultiValueRegister& a, const MultiValueRegister& b) {
    return a.values() <=> b.values();
  }
  [[nodiscard]] std::string value_key() const;

  friend bool operator==(const MultiValueRegister&, const MultiValueRegister&) = default;

 private:
  [[nodiscard]] bool follows(const MultiValueRegister& before, Actor actor) const;
  [[nodiscard]] bool is_literal() const;

  VersionVector seen_;
  std::vector<Value> values_;
};

}  // namespace meridian
