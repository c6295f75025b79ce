// meridian.counter: a number that every actor adds to and anybody may reset.
//
// Per actor the sums of its increments and decrements, which only it raises, and for both how much of them a reset has
// seen, which anybody may raise. Value: what no reset has seen. Merge: the maximum of each field. So an increment
// counts unless a reset saw it, and concurrent resets take nothing twice. Source: Baquero et al., "The problem with
// embedded CRDT counters and a solution" (2016); per-actor floors instead of fresh actors.
//
// Invariants: sorted by actor; no entry without a sum; no floor above its sum.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/actor.hpp"
#include "core/type_codec.hpp"

namespace meridian {

__extension__ typedef __int128 Int128;
[[nodiscard]] std::string to_text(Int128 number);

class Counter {
 public:
  static constexpr TypeKind kind = TypeKind::counter;
  static constexpr const char* name = "counter";

  struct Entry {
    Actor actor;
    std::uint64_t increments = 0;
    std::uint64_t decrements = 0;
    std::uint64_t reset_increments = 0;
    std::uint64_t reset_decrements = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  /// A value that nobody in particular contributed.
  [[nodiscard]] static Counter literal(std::int64_t value);

  [[nodiscard]] Int128 value() const noexcept;
  /// Nullopt if it does not fit.
  [[nodiscard]] std::optional<std::int64_t> small_value() const noexcept;

  /// Throws Error(out_of_range), and changes nothing, if the value would leave or move further from what 64 bits
  /// hold, or if the actor's own sums would exceed 63 bits.
  void add(Actor actor, Int128 delta);
  /// Takes back everything that is known to this state.
  void reset() noexcept;
  /// A reset and the value: of two concurrent ones both count.
  void set(Actor actor, Int128 value);

  void merge(const Counter& other);
  /// What a local assignment of `after` over `before` means: `after` itself if it is `before` with operations of
  /// `actor` alone; else `before`, with such operations that give it the value of `after`.
  [[nodiscard]] static Counter absorb(const Counter& before, const Counter& after, Actor actor);

  void encode(Bytes& out) const;
  [[nodiscard]] static Counter decode(std::span<const std::byte> bytes);
  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static Counter parse(std::string_view text);
  [[nodiscard]] std::string to_json() const;

  /// Order and identity of the value, whatever the state.
  [[nodiscard]] static std::strong_ordering compare_values(const Counter& a, const Counter& b) noexcept;
  [[nodiscard]] std::string value_key() const { return meridian::to_text(value()); }

  friend bool operator==(const Counter&, const Counter&) = default;

 private:
  Entry& entry_of(Actor actor);
  [[nodiscard]] bool is_literal() const noexcept;

  std::vector<Entry> entries_;
};

}  // namespace meridian
