// meridian.flag: a boolean in which, of concurrent changes, enabling wins or disabling wins.
//
// Per actor the number of its writes and what its last one still says: enabled, disabled, or nothing, if another write
// has seen it. The writes that nobody has seen are the *front*. With enable_wins the flag is on if one of them enables;
// with disable_wins if there is one and none disables. A flag that was never written is off. Merge: per actor the later
// write, and of one write what says nothing. Source: the enable-wins and disable-wins flags of AntidoteDB.
//
// Invariants: sorted by actor; no entry without a write. The policy is part of the state: disable_wins, once chosen,
// stays.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/type_codec.hpp"

namespace meridian {

class Flag {
 public:
  static constexpr TypeKind kind = TypeKind::flag;
  static constexpr const char* name = "flag";

  enum class Policy : std::uint8_t { enable_wins, disable_wins };
  /// In merge order: of one write, seen twice, the larger is kept.
  enum class Says : std::uint8_t { enabled, disabled, nothing };

  struct Entry {
    Actor actor;
    std::uint64_t writes = 0;
    Says says = Says::nothing;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  /// A flag that nobody in particular has set.
  [[nodiscard]] static Flag literal(Policy policy, bool value);

  [[nodiscard]] bool value() const noexcept;
  [[nodiscard]] Policy policy() const noexcept { return policy_; }
  /// Also for a flag that is so already: the new write outlives a concurrent one of the other kind, if it wins.
  void set(Actor actor, bool value);

  void merge(const Flag& other);
  /// What a local assignment of `after` over `before` means: `after` itself if it is `before` with operations of
  /// `actor` alone; else `before`, set to the value of `after` if it differs.
  [[nodiscard]] static Flag absorb(const Flag& before, const Flag& after, Actor actor);

  void encode(Bytes& out) const;
  [[nodiscard]] static Flag decode(std::span<const std::byte> bytes);
  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static Flag parse(std::string_view text);
  [[nodiscard]] std::string to_json() const;

  [[nodiscard]] static std::strong_ordering compare_values(const Flag& a, const Flag& b) noexcept {
    return a.value() <=> b.value();
  }
  [[nodiscard]] std::string value_key() const { return value() ? "true" : "false"; }

  friend bool operator==(const Flag&, const Flag&) = default;

 private:
  [[nodiscard]] bool follows(const Flag& before, Actor actor) const;
  [[nodiscard]] bool is_literal() const noexcept;

  Policy policy_ = Policy::enable_wins;
  std::vector<Entry> entries_;
};

}  // namespace meridian
