// Several transactions of a sender, applied as one.
//
// A commit costs a receiver as much as the rest of a small transaction. While the sender's next transaction is there
// already, both can be one: nothing is delayed, and what was atomic stays so. This machine sees every message of a
// stream in its order and says what to do with it. A Commit is *held* until it is known what follows: a Begin that may
// join makes both vanish; anything else, also that nothing has arrived yet, lets the Commit go first.
//
// Phases: outside of a transaction -> inside -> holding its Commit -> inside (joined) or outside (released).
#pragma once

#include <cstdint>

namespace meridian {

class TransactionGroup {
 public:
  enum class Step {
    pass,    ///< deliver the message
    hold,    ///< keep this Commit, and look what comes next
    join,    ///< forget this Begin and the Commit that is held
    release  ///< deliver the Commit that is held, and show the message again afterwards
  };
  enum class Phase : std::uint8_t { outside, inside, holding };

  /// A new stream begins. Its first `max_size` transactions are delivered as they are: one that failed in a group is
  /// repeated alone, so that its error names its own position.
  constexpr void start() noexcept { *this = TransactionGroup{}; }

  /// A Begin. `can_join`: it is small enough to be waited for by those before it.
  constexpr Step begin(std::uint64_t commit_position, bool can_join, int max_size) noexcept {
    if (phase_ == Phase::holding) {
      if (!can_join || size_ >= max_size) return release();
      ++size_;
      phase_ = Phase::inside;
      return Step::join;
    }
    phase_ = Phase::inside;
    first_commit_ = commit_position;
    size_ = 1;
    return Step::pass;
  }

  /// A Commit, which is to be delivered with the position first_commit(). `can_hold`: nobody else is hindered by rows
  /// that stay locked a little longer.
  constexpr Step commit(bool can_hold, int max_size) noexcept {
    if (phase_ == Phase::holding) return release();
    if (phase_ == Phase::inside && can_hold && delivered_ >= max_size && size_ < max_size) {
      phase_ = Phase::holding;
      return Step::hold;
    }
    if (phase_ == Phase::inside && delivered_ < max_size) ++delivered_;
    phase_ = Phase::outside;
    return Step::pass;
  }

  /// Anything else, also that nothing is there.
  constexpr Step other() noexcept { return phase_ == Phase::holding ? release() : Step::pass; }

  /// Position of the Commit that the receiver expects: that of the transaction whose Begin it was given.
  [[nodiscard]] constexpr std::uint64_t first_commit() const noexcept { return first_commit_; }
  /// How many transactions the current one consists of.
  [[nodiscard]] constexpr int size() const noexcept { return size_; }
  [[nodiscard]] constexpr Phase phase() const noexcept { return phase_; }

 private:
  constexpr Step release() noexcept {
    phase_ = Phase::outside;
    return Step::release;
  }

  Phase phase_ = Phase::outside;
  int delivered_ = 0;  ///< Commits delivered since start(), as far as it matters
  int size_ = 0;
  std::uint64_t first_commit_ = 0;
};

}  // namespace meridian
