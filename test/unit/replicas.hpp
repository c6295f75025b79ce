// Random histories of replicas that hold one value of an explicit type, against an oracle that knows every operation.
//
// A history is a log of operations, each with the set of operations that its replica had seen; and replicas that apply
// operations and merge states of each other, old ones and repeated ones too. After every step the value that a replica
// shows must be what the model computes from the operations it has seen, and the laws of merging must hold.
//
// A model has: State; Op; random_op(prng, state); apply(state, actor, op); shown(state); expected(log, seen);
// merge(state, other); has_codec; and, with a codec, size_bound(actors, state).
#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/actor.hpp"
#include "core/type_codec.hpp"
#include "sim/prng.hpp"

namespace meridian::testing {

inline constexpr int history_steps = 120;
using Seen = std::bitset<history_steps>;

template <typename Op>
struct Logged {
  Op op;
  Seen seen;  ///< by the replica before the operation
};
template <typename Op>
using Log = std::vector<Logged<Op>>;

template <typename State>
std::string bytes_of(const State& state) {
  Bytes bytes;
  state.encode(bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::span<const std::byte> as_span(const std::string& bytes) {
  return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
}

template <typename Model>
class History {
  using State = typename Model::State;
  struct Copy {
    State state;
    Seen seen;
  };

 public:
  explicit History(std::uint64_t seed)
      : prng_(seed), replicas_(static_cast<std::size_t>(prng_.between(2, 4))), epochs_(replicas_.size(), 1) {}

  /// What is wrong, or nothing.
  std::string run() {
    for (int step = 0; step < history_steps && failure_.empty(); ++step) {
      const auto at = static_cast<std::size_t>(prng_.below(static_cast<int>(replicas_.size())));
      if (prng_.chance(50) || sent_.empty()) {
        operate(at);
      } else {
        receive(at);
      }
      const Copy& copy = replicas_[at];
      const std::string shown = Model::shown(copy.state);
      const std::string expected = Model::expected(log_, copy.seen);
      if (shown != expected) fail("shows " + shown + " instead of " + expected);
      if constexpr (Model::has_codec) check_codec(copy);
    }
    return failure_;
  }

 private:
  void fail(const std::string& claim) {
    if (failure_.empty()) failure_ = claim;
  }
  void require(bool condition, const char* claim) {
    if (!condition) fail(claim);
  }

  static State merged(State state, const State& other) {
    Model::merge(state, other);
    return state;
  }

  void operate(std::size_t at) {
    Copy& copy = replicas_[at];
    if (prng_.chance(2)) ++epochs_[at];  // promoted: another actor from now on
    const Actor actor = Actor::from_parts(epochs_[at], static_cast<std::uint16_t>(at + 1));
    const typename Model::Op op = Model::random_op(prng_, copy.state);
    const State before = copy.state;
    Model::apply(copy.state, actor, op);
    require(merged(before, copy.state) == copy.state, "an operation lowers the state");
    log_.push_back({op, copy.seen});
    copy.seen.set(log_.size() - 1);
    actors_[actor.value] = true;
    if (prng_.chance(70)) sent_.push_back(copy);
  }

  void receive(std::size_t at) {
    Copy& mine = replicas_[at];
    const Copy& theirs = sent_[static_cast<std::size_t>(prng_.below(static_cast<int>(sent_.size())))];
    const Copy& third = sent_[static_cast<std::size_t>(prng_.below(static_cast<int>(sent_.size())))];
    const State result = merged(mine.state, theirs.state);
    require(result == merged(theirs.state, mine.state), "merge is not commutative");
    require(merged(result, third.state) == merged(mine.state, merged(theirs.state, third.state)),
            "merge is not associative");
    require(merged(result, result) == result, "merge is not idempotent");
    require(merged(result, mine.state) == result && merged(result, theirs.state) == result,
            "merge is not inflationary");
    mine = {result, mine.seen | theirs.seen};
    if (prng_.chance(30)) sent_.push_back(mine);
  }

  void check_codec(const Copy& copy) {
    const std::string bytes = bytes_of(copy.state);
    require(State::decode(as_span(bytes)) == copy.state, "bytes lose something");
    require(State::parse(copy.state.to_text()) == copy.state, "text loses something");
    // What is known decides the bytes: however the state came about.
    const auto [known, fresh] = bytes_by_knowledge_.try_emplace(copy.seen.to_string(), bytes);
    require(fresh || known->second == bytes, "the same knowledge has two forms");
    require(bytes.size() <= Model::size_bound(actors_.size(), copy.state), "a state is larger than its bound");
  }

  sim::Prng prng_;
  std::vector<Copy> replicas_;
  std::vector<std::uint16_t> epochs_;
  std::vector<Copy> sent_;
  Log<typename Model::Op> log_;
  std::map<std::uint32_t, bool> actors_;
  std::map<std::string, std::string> bytes_by_knowledge_;
  std::string failure_;
};

/// The first thing that is wrong in that many histories, or nothing.
template <typename Model>
std::string run_histories(int count) {
  for (int seed = 0; seed < count; ++seed) {
    const std::string failure = History<Model>(static_cast<std::uint64_t>(seed)).run();
    if (!failure.empty()) return "seed " + std::to_string(seed) + ": " + failure;
  }
  return {};
}

inline constexpr int many_histories = 400;

/// True if an operation in `seen` that fits has seen operation `index`.
template <typename Op, typename Fits>
bool seen_by(const Log<Op>& log, const Seen& seen, std::size_t index, Fits fits) {
  for (std::size_t later = index + 1; later < log.size(); ++later) {
    if (seen[later] && log[later].seen[index] && fits(log[later].op)) return true;
  }
  return false;
}

/// Every way to damage good bytes a little: refused, or the canonical form of something.
template <typename State>
std::string damage(const std::string& good) {
  std::vector<std::string> bad;
  for (std::size_t size = 0; size < good.size(); ++size) bad.push_back(good.substr(0, size));
  bad.push_back(good + '\0');
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int step : {1, 2, 127, 128, 255}) {
      bad.push_back(good);
      bad.back()[i] = static_cast<char>(static_cast<unsigned char>(good[i]) + step);
    }
  }
  for (const std::string& bytes : bad) {
    try {
      if (bytes_of(State::decode(as_span(bytes))) != bytes) return "took a form that is not canonical";
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::malformed_binary) return error.what();
    }
  }
  return {};
}

/// The error that a text is refused with; empty if it is read.
template <typename State>
std::string refusal(std::string_view text) {
  try {
    (void)State::parse(text);
    return {};
  } catch (const Error& error) {
    return error.kind() == ErrorKind::malformed_text ? error.what() : "another error";
  }
}

}  // namespace meridian::testing
