#include "core/counter.hpp"

#include <algorithm>
#include <limits>

#include "core/error.hpp"
#include "core/type_text.hpp"

namespace meridian {

namespace {

constexpr std::uint64_t flag_decrements = 1;
constexpr std::uint64_t flag_resets = 2;
constexpr int flag_bits = 2;

constexpr Int128 smallest = std::numeric_limits<std::int64_t>::min();
constexpr Int128 largest = std::numeric_limits<std::int64_t>::max();

bool well_formed(const Counter::Entry& entry) noexcept {
  return (entry.increments != 0 || entry.decrements != 0) && entry.reset_increments <= entry.increments &&
         entry.reset_decrements <= entry.decrements;
}

/// Of the sums `+increments-decrements`, those that are not zero.
void print_sums(std::string& text, std::uint64_t increments, std::uint64_t decrements) {
  if (increments != 0) print_number(text += '+', increments);
  if (decrements != 0) print_number(text += '-', decrements);
}

void read_sums(TextReader& in, std::uint64_t& increments, std::uint64_t& decrements) {
  if (in.accept("+")) increments = in.positive();
  if (in.accept("-")) decrements = in.positive();
  if (increments == 0 && decrements == 0) in.refuse("expected \"+\" or \"-\"");
}

}  // namespace

std::string to_text(Int128 number) {
  if (number == 0) return "0";
  const bool negative = number < 0;
  std::string digits;
  for (; number != 0; number /= 10) {
    const int digit = static_cast<int>(number % 10);
    digits += static_cast<char>('0' + (negative ? -digit : digit));
  }
  if (negative) digits += '-';
  std::ranges::reverse(digits);
  return digits;
}

Counter Counter::literal(std::int64_t value) {
  Counter counter;
  if (value != 0) counter.add(nobody, value);
  return counter;
}

Int128 Counter::value() const noexcept {
  Int128 sum = 0;
  for (const Entry& entry : entries_) {
    sum += static_cast<Int128>(entry.increments - entry.reset_increments);
    sum -= static_cast<Int128>(entry.decrements - entry.reset_decrements);
  }
  return sum;
}

std::optional<std::int64_t> Counter::small_value() const noexcept {
  const Int128 exact = value();
  if (exact < smallest || exact > largest) return std::nullopt;
  return static_cast<std::int64_t>(exact);
}

Counter::Entry& Counter::entry_of(Actor actor) {
  const auto position = std::ranges::lower_bound(entries_, actor, {}, &Entry::actor);
  if (position != entries_.end() && position->actor == actor) return *position;
  const auto made = entries_.emplace(position);
  made->actor = actor;
  return *made;
}

void Counter::add(Actor actor, Int128 delta) {
  if (delta == 0) return;
  const Int128 sum = value() + delta;
  if ((delta > 0 && sum > largest) || (delta < 0 && sum < smallest)) {
    throw Error(ErrorKind::out_of_range, "counter is out of range", "A counter holds what a bigint holds.");
  }
  const Int128 magnitude = delta < 0 ? -delta : delta;
  const auto known = std::ranges::lower_bound(entries_, actor, {}, &Entry::actor);
  const bool found = known != entries_.end() && known->actor == actor;
  const std::uint64_t own = !found ? 0 : delta > 0 ? known->increments : known->decrements;
  // One more than bigint's largest, so that its smallest can be a literal.
  if (static_cast<Int128>(own) + magnitude > largest + 1) {
    throw Error(ErrorKind::out_of_range, "this node has counted up or down too much",
                "Start over with a new row, or with another column.");
  }
  Entry& entry = entry_of(actor);
  (delta > 0 ? entry.increments : entry.decrements) += static_cast<std::uint64_t>(magnitude);
}

void Counter::reset() noexcept {
  for (Entry& entry : entries_) {
    entry.reset_increments = entry.increments;
    entry.reset_decrements = entry.decrements;
  }
}

void Counter::set(Actor actor, Int128 value) {
  Counter changed = *this;
  changed.reset();
  changed.add(actor, value);
  *this = std::move(changed);
}

void Counter::merge(const Counter& other) {
  for (const Entry& theirs : other.entries_) {
    Entry& mine = entry_of(theirs.actor);
    mine.increments = std::max(mine.increments, theirs.increments);
    mine.decrements = std::max(mine.decrements, theirs.decrements);
    mine.reset_increments = std::max(mine.reset_increments, theirs.reset_increments);
    mine.reset_decrements = std::max(mine.reset_decrements, theirs.reset_decrements);
  }
}

Counter Counter::absorb(const Counter& before, const Counter& after, Actor actor) {
  // What came to be by operations of the actor is `before` plus its own sums and any floors.
  Counter both = before;
  both.merge(after);
  const bool above = both == after && std::ranges::all_of(after.entries_, [&](const Entry& entry) {
                       const auto old = std::ranges::lower_bound(before.entries_, entry.actor, {}, &Entry::actor);
                       const bool known = old != before.entries_.end() && old->actor == entry.actor;
                       return entry.actor == actor ||
                              (known && old->increments == entry.increments && old->decrements == entry.decrements);
                     });
  if (above) return after;
  Counter result = before;
  if (before.value() != after.value()) result.set(actor, after.value());
  return result;
}

void Counter::encode(Bytes& bytes) const {
  Writer out(bytes);
  put_head(out, kind);
  out.room_for(1 + 6 * entries_.size());
  out.varint(entries_.size());
  for (const Entry& entry : entries_) {
    const bool resets = entry.reset_increments != 0 || entry.reset_decrements != 0;
    const std::uint64_t flags = (entry.decrements != 0 ? flag_decrements : 0) | (resets ? flag_resets : 0);
    out.varint(entry.actor.member());
    out.varint(std::uint64_t{entry.actor.epoch()} << flag_bits | flags);
    out.varint(entry.increments);
    if (entry.decrements != 0) out.varint(entry.decrements);
    if (!resets) continue;
    out.varint(entry.reset_increments);
    out.varint(entry.reset_decrements);
  }
}

Counter Counter::decode(std::span<const std::byte> bytes) {
  Reader in(bytes, name);
  take_head(in, kind);
  Counter counter;
  const std::size_t count = take_count(in, 3);
  for (std::size_t i = 0; i < count; ++i) {
    Entry entry;
    const auto member = static_cast<std::uint16_t>(in.varint_up_to(std::numeric_limits<std::uint16_t>::max()));
    const std::uint64_t rest = in.varint_up_to((std::uint64_t{1} << (16 + flag_bits)) - 1);
    entry.actor = Actor::from_parts(static_cast<std::uint16_t>(rest >> flag_bits), member);
    entry.increments = in.varint();
    if ((rest & flag_decrements) != 0) {
      entry.decrements = in.varint();
      if (entry.decrements == 0) in.fail("it is not in canonical form");
    }
    if ((rest & flag_resets) != 0) {
      entry.reset_increments = in.varint();
      entry.reset_decrements = in.varint();
      if (entry.reset_increments == 0 && entry.reset_decrements == 0) in.fail("it is not in canonical form");
    }
    if (!well_formed(entry)) in.fail("a reset of more than there is");
    if (i > 0 && entry.actor <= counter.entries_.back().actor) in.fail("actors are not in order");
    counter.entries_.push_back(entry);
  }
  take_end(in);
  return counter;
}

bool Counter::is_literal() const noexcept {
  if (entries_.empty()) return true;
  const Entry& entry = entries_.front();
  return entries_.size() == 1 && entry.actor == nobody && entry.reset_increments == 0 && entry.reset_decrements == 0 &&
         (entry.increments == 0 || entry.decrements == 0);
}

std::string Counter::to_text() const {
  if (is_literal()) return value_key();
  std::string text = "{";
  for (const Entry& entry : entries_) {
    if (&entry != entries_.data()) text += ',';
    print_actor(text, entry.actor);
    text += ':';
    print_sums(text, entry.increments, entry.decrements);
    if (entry.reset_increments == 0 && entry.reset_decrements == 0) continue;
    text += '(';
    print_sums(text, entry.reset_increments, entry.reset_decrements);
    text += ')';
  }
  return text += '}';
}

Counter Counter::parse(std::string_view text) {
  TextReader in(text, name, "Write a whole number, or a state as it is printed.");
  Counter counter;
  if (!in.accept("{")) {
    const bool negative = in.accept("-");
    const std::uint64_t magnitude = in.number();
    if (negative && magnitude == 0) in.refuse("zero has no sign");
    in.expect_end();
    if (magnitude != 0) counter.entries_.push_back({nobody, negative ? 0 : magnitude, negative ? magnitude : 0, 0, 0});
    return counter;
  }
  do {
    Entry entry;
    entry.actor = in.actor();
    in.expect(":");
    read_sums(in, entry.increments, entry.decrements);
    if (in.accept("(")) {
      read_sums(in, entry.reset_increments, entry.reset_decrements);
      in.expect(")");
    }
    if (!well_formed(entry)) in.refuse("a reset of more than there is");
    if (!counter.entries_.empty() && entry.actor <= counter.entries_.back().actor) {
      in.refuse("actors are not in order");
    }
    counter.entries_.push_back(entry);
  } while (in.accept(","));
  in.expect("}");
  in.expect_end();
  if (counter.is_literal()) in.refuse("it is written as a plain number");
  return counter;
}

std::string Counter::to_json() const {
  std::string json = "{\"value\": " + value_key() + ", \"actors\": {";
  for (const Entry& entry : entries_) {
    json += &entry == entries_.data() ? "\"" : ", \"";
    print_actor(json, entry.actor);
    print_number(json += "\": {\"increments\": ", entry.increments);
    print_number(json += ", \"decrements\": ", entry.decrements);
    print_number(json += ", \"reset_increments\": ", entry.reset_increments);
    print_number(json += ", \"reset_decrements\": ", entry.reset_decrements);
    json += '}';
  }
  return json += "}}";
}

std::strong_ordering Counter::compare_values(const Counter& a, const Counter& b) noexcept {
  const Int128 left = a.value();
  const Int128 right = b.value();
  return left < right   ? std::strong_ordering::less
         : right < left ? std::strong_ordering::greater
                        : std::strong_ordering::equal;
}

}  // namespace meridian
