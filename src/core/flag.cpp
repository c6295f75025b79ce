#include "core/flag.hpp"

#include <algorithm>
#include <limits>

#include "core/error.hpp"
#include "core/type_text.hpp"

namespace meridian {

namespace {

constexpr int says_bits = 2;
constexpr std::uint64_t max_writes = std::numeric_limits<std::uint64_t>::max() >> says_bits;

template <typename Entries>
auto find(Entries& entries, Actor actor) noexcept {
  return std::ranges::lower_bound(entries, actor, {}, &Flag::Entry::actor);
}

constexpr std::string_view disable_wins_text = "disable_wins";

}  // namespace

Flag Flag::literal(Policy policy, bool value) {
  Flag flag;
  flag.policy_ = policy;
  if (value) flag.entries_.push_back({nobody, 1, Says::enabled});
  return flag;
}

bool Flag::value() const noexcept {
  const auto says = [this](Says what) { return std::ranges::find(entries_, what, &Entry::says) != entries_.end(); };
  return says(Says::enabled) && (policy_ == Policy::enable_wins || !says(Says::disabled));
}

void Flag::set(Actor actor, bool value) {
  auto own = find(entries_, actor);
  if (own == entries_.end() || own->actor != actor) own = entries_.insert(own, Entry{actor, 0, Says::nothing});
  if (own->writes == max_writes) throw Error(ErrorKind::limit_exceeded, "the flag has been written too often");
  ++own->writes;
  for (Entry& entry : entries_) entry.says = Says::nothing;
  own->says = value ? Says::enabled : Says::disabled;
}

void Flag::merge(const Flag& other) {
  policy_ = std::max(policy_, other.policy_);
  for (const Entry& theirs : other.entries_) {
    const auto mine = find(entries_, theirs.actor);
    if (mine == entries_.end() || mine->actor != theirs.actor) {
      entries_.insert(mine, theirs);
    } else if (mine->writes < theirs.writes) {
      *mine = theirs;
    } else if (mine->writes == theirs.writes) {
      mine->says = std::max(mine->says, theirs.says);
    }
  }
}

/// Whether this state came from `before` by operations of `actor` alone.
bool Flag::follows(const Flag& before, Actor actor) const {
  Flag both = before;
  both.merge(*this);
  return both == *this && std::ranges::all_of(entries_, [&](const Entry& entry) {
           const auto old = find(before.entries_, entry.actor);
           const bool known = old != before.entries_.end() && old->actor == entry.actor;
           const bool same_write = known && old->writes == entry.writes;
           return same_write ? old->says == entry.says || entry.says == Says::nothing : entry.actor == actor;
         });
}

Flag Flag::absorb(const Flag& before, const Flag& after, Actor actor) {
  if (after.follows(before, actor)) return after;
  Flag result = before;
  result.policy_ = std::max(before.policy_, after.policy_);
  if (result.value() != after.value()) result.set(actor, after.value());
  return result;
}

void Flag::encode(Bytes& bytes) const {
  Writer out(bytes);
  put_head(out, kind);
  out.room_for(1 + 3 * entries_.size());
  out.varint(entries_.size() << 1 | (policy_ == Policy::disable_wins ? 1 : 0));
  for (const Entry& entry : entries_) {
    out.varint(entry.actor.member());
    out.varint(entry.actor.epoch());
    out.varint(entry.writes << says_bits | static_cast<std::uint64_t>(entry.says));
  }
}

Flag Flag::decode(std::span<const std::byte> bytes) {
  Reader in(bytes, name);
  take_head(in, kind);
  Flag flag;
  const std::uint64_t head = in.varint();
  flag.policy_ = (head & 1) != 0 ? Policy::disable_wins : Policy::enable_wins;
  if (head >> 1 > in.remaining() / 3) in.fail("it ends too early");
  for (std::uint64_t i = 0; i < head >> 1; ++i) {
    Entry entry;
    entry.actor = take_actor(in);
    const std::uint64_t write = in.varint();
    entry.writes = write >> says_bits;
    const std::uint64_t says = write & ((1U << says_bits) - 1);
    if (says > static_cast<std::uint64_t>(Says::nothing)) in.fail("it is not in canonical form");
    entry.says = static_cast<Says>(says);
    if (entry.writes == 0) in.fail("an actor without a write");
    if (i > 0 && entry.actor <= flag.entries_.back().actor) in.fail("actors are not in order");
    flag.entries_.push_back(entry);
  }
  take_end(in);
  return flag;
}

bool Flag::is_literal() const noexcept {
  return policy_ == Policy::enable_wins &&
         (entries_.empty() || (entries_.size() == 1 && entries_.front() == Entry{nobody, 1, Says::enabled}));
}

std::string Flag::to_text() const {
  if (is_literal()) return value_key();
  std::string text = "{";
  if (policy_ == Policy::disable_wins) text += disable_wins_text;
  for (const Entry& entry : entries_) {
    if (text.size() > 1) text += ',';
    print_dot(text, {entry.actor, entry.writes});
    if (entry.says != Says::nothing) text += entry.says == Says::enabled ? '+' : '-';
  }
  return text += '}';
}

Flag Flag::parse(std::string_view text) {
  TextReader in(text, name, "Write true or false, or a state as it is printed.");
  if (text == "true" || text == "false") return literal(Policy::enable_wins, text == "true");
  Flag flag;
  in.expect("{");
  bool first = true;
  if (in.accept(disable_wins_text)) {
    flag.policy_ = Policy::disable_wins;
    first = false;
  }
  while (!in.accept("}")) {
    if (!first) in.expect(",");
    first = false;
    const Dot dot = in.dot();
    if (dot.number > max_writes) in.refuse("a number is out of range");
    const Says says = in.accept("+") ? Says::enabled : in.accept("-") ? Says::disabled : Says::nothing;
    if (!flag.entries_.empty() && dot.actor <= flag.entries_.back().actor) in.refuse("actors are not in order");
    flag.entries_.push_back({dot.actor, dot.number, says});
  }
  in.expect_end();
  if (flag.is_literal()) in.refuse("it is written as true or false");
  return flag;
}

std::string Flag::to_json() const {
  std::string json = "{\"value\": " + value_key() + ", \"policy\": \"";
  json += policy_ == Policy::disable_wins ? "disable_wins" : "enable_wins";
  json += "\", \"actors\": {";
  for (const Entry& entry : entries_) {
    json += &entry == entries_.data() ? "\"" : ", \"";
    print_actor(json, entry.actor);
    print_number(json += "\": {\"writes\": ", entry.writes);
    json += ", \"says\": ";
    json += entry.says == Says::nothing ? "null" : entry.says == Says::enabled ? "true" : "false";
    json += '}';
  }
  return json += "}}";
}

}  // namespace meridian
