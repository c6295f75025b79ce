// meridian.orset: a set of texts in which an add wins over a concurrent remove.
//
// Every element carries the dots of the adds that put it there and that no remove has seen; a version vector says which
// adds this state has seen. An add is a new dot in place of those seen; a remove drops the dots and keeps the vector.
// Merge: dots that both have, and those of either side that the other has not seen. Taking the side whose vector
// dominates would be wrong: a remove does not move the vector. Source: Bieniusa et al., "An optimized conflict-free
// replicated set" (2012).
//
// Invariants: elements sorted by their bytes, no two alike, each with a dot; dots of an element sorted by actor, one
// for each; the vector covers every dot.
#pragma once

#include <compare>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/type_codec.hpp"

namespace meridian {

class ObservedRemoveSet {
 public:
  static constexpr TypeKind kind = TypeKind::orset;
  static constexpr const char* name = "orset";

  struct Element {
    std::string text;
    std::vector<Dot> dots;
    friend bool operator==(const Element&, const Element&) = default;
  };

  /// Elements that nobody in particular added; in any order, perhaps more than once. Where two different literals
  /// meet, one of them stays.
  [[nodiscard]] static ObservedRemoveSet literal(std::vector<std::string> elements);

  [[nodiscard]] std::vector<std::string> elements() const;
  [[nodiscard]] bool contains(std::string_view element) const noexcept;
  /// Also for an element that is there: the new add outlives a concurrent remove.
  void add(Actor actor, std::string_view element);
  /// Takes back every add that this state has seen. No actor is needed.
  void remove(std::string_view element);

  void merge(const ObservedRemoveSet& other);
  /// What a local assignment of `after` over `before` means: `after` itself if it is `before` with operations of
  /// `actor` alone; else `before` with the adds and removes that make the difference.
  [[nodiscard]] static ObservedRemoveSet absorb(const ObservedRemoveSet& before, const ObservedRemoveSet& after,
                                                Actor actor);

  void encode(Bytes& out) const;
  [[nodiscard]] static ObservedRemoveSet decode(std::span<const std::byte> bytes);
  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static ObservedRemoveSet parse(std::string_view text);
  [[nodiscard]] std::string to_json() const;

  [[nodiscard]] static std::strong_ordering compare_values(const ObservedRemoveSet& a, const ObservedRemoveSet& b) {
    return a.elements() <=> b.elements();
  }
  [[nodiscard]] std::string value_key() const;

  friend bool operator==(const ObservedRemoveSet&, const ObservedRemoveSet&) = default;

 private:
  [[nodiscard]] bool follows(const ObservedRemoveSet& before, Actor actor) const;
  [[nodiscard]] bool is_literal() const;
  [[nodiscard]] std::string literal_text() const;

  VersionVector seen_;
  std::vector<Element> elements_;
};

}  // namespace meridian
