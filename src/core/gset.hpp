// meridian.gset: a set of texts that only grows. Merge: union. It needs no actor and remembers nothing.
//
// Invariant: elements are sorted by their bytes, no two alike.
#pragma once

#include <compare>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/type_codec.hpp"

namespace meridian {

class GrowSet {
 public:
  static constexpr TypeKind kind = TypeKind::gset;
  static constexpr const char* name = "gset";

  /// Elements may come in any order and more than once.
  [[nodiscard]] static GrowSet literal(std::vector<std::string> elements);

  [[nodiscard]] const std::vector<std::string>& elements() const noexcept { return elements_; }
  [[nodiscard]] bool contains(std::string_view element) const noexcept;
  void add(std::string_view element);

  void merge(const GrowSet& other);
  /// `after`, which must hold all of `before`: Error(against_rule).
  [[nodiscard]] static GrowSet absorb(const GrowSet& before, const GrowSet& after, Actor actor);

  void encode(Bytes& out) const;
  [[nodiscard]] static GrowSet decode(std::span<const std::byte> bytes);
  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static GrowSet parse(std::string_view text);
  [[nodiscard]] std::string to_json() const;

  [[nodiscard]] static std::strong_ordering compare_values(const GrowSet& a, const GrowSet& b) noexcept {
    return a.elements_ <=> b.elements_;
  }
  [[nodiscard]] std::string value_key() const { return to_text(); }

  friend bool operator==(const GrowSet&, const GrowSet&) = default;

 private:
  std::vector<std::string> elements_;
};

}  // namespace meridian
