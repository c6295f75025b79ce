// Text form of a row state: printable ASCII, one text per state. The grammar is in docs/row_state_format.md.
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "core/error.hpp"
#include "core/rights.hpp"
#include "core/row_state_codec.hpp"

namespace meridian {

namespace {

/// A few bytes of binary can stand for a number with 16383 zeros, so the text needs a limit of its own.
constexpr std::size_t max_text_size = std::size_t{16} << 20;
/// With sets, of whose elements a byte takes up to four characters.
constexpr std::size_t max_text_size_with_sets = std::size_t{80} << 20;

std::size_t size_limit(const RowState& state) noexcept {
  return state.sets.empty() ? max_text_size : max_text_size_with_sets;
}

[[noreturn]] void refuse_size() { throw Error(ErrorKind::limit_exceeded, "text of a row state is too large"); }

/// In the order of Share::Kind.
constexpr std::array<std::string_view, 7> share_kind_names = {
    " change", " gave lower", " gave raise", " took lower", " took raise", " wants lower", " wants raise"};

/// True if the byte stands for itself between quotes.
bool is_plain(char byte) noexcept { return byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\'; }

class Printer {
 public:
  std::string run(const RowState& state) {
    limit_ = size_limit(state);
    text_ = '{';
    section("entries:[", state.entries);
    section("groups:[", state.groups);
    section("lattices:[", state.lattices);
    section("sets:[", state.sets);
    section("elements:[", state.dots);
    section("rights:[", state.shares);
    text_ += '}';
    return std::move(text_);
  }

 private:
  template <typename List>
  void section(std::string_view name, const List& list) {
    if (list.empty()) return;
    if (text_.size() > 1) text_ += ',';
    text_ += name;
    for (const auto& item : list) {
      if (&item != &list.front()) text_ += ',';
      print(item);
      if (text_.size() > limit_) refuse_size();
    }
    text_ += ']';
  }

  void print(std::uint64_t number) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    text_.append(digits.data(), end);
  }

  void print(Hlc stamp) {
    print(stamp.milliseconds());
    text_ += '.';
    print(std::uint64_t{stamp.counter()});
  }

  void print(Actor actor) {
    print(std::uint64_t{actor.member()});
    if (actor.epoch() == 0) return;
    text_ += '/';
    print(std::uint64_t{actor.epoch()});
  }

  void print_write(Actor actor, Hlc birth, Hlc last) {
    print(actor);
    text_ += '@';
    print(birth);
    text_ += " last ";
    print(last);
  }

  void print(const Entry& entry) {
    print_write(entry.actor, entry.birth, entry.last);
    for (const Contribution& contribution : entry.contributions) {
      text_ += " +";
      print(std::uint64_t{contribution.slot});
      text_ += '=';
      text_ += contribution.amount.to_string();
      if (text_.size() > limit_) refuse_size();
    }
  }

  void print(const GroupStamp& group) {
    print(std::uint64_t{group.slot});
    text_ += ':';
    print_write(group.actor, group.birth, group.stamp);
  }

  void print(const LatticeBirth& lattice) {
    print(std::uint64_t{lattice.slot});
    text_ += '@';
    print(lattice.birth);
  }

  void print(const SetLife& life) {
    print(std::uint64_t{life.slot});
    text_ += '@';
    print(life.birth);
  }

  void print(const SetDot& dot) {
    print(std::uint64_t{dot.slot});
    text_ += ':';
    print_quoted(dot.element);
    if (!dot.value.empty()) {
      text_ += '=';
      print_quoted(dot.value);
    }
    text_ += ' ';
    print_write(dot.actor, dot.birth, dot.stamp);
  }

  void print(const Share& share) {
    print(std::uint64_t{share.slot});
    text_ += ':';
    print(share.actor);
    text_ += '@';
    print(share.birth);
    text_ += " of ";
    print(share.maker);
    text_ += share_kind_names[static_cast<std::size_t>(share.kind)];
    if (names_other(share.kind)) {
      text_ += ' ';
      print(share.other);
    }
    text_ += '=';
    text_ += share.amount.to_string();
  }

  /// Printable ASCII as it is, all else as \x and two digits.
  void print_quoted(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    text_ += '"';
    for (const char byte : bytes) {
      if (is_plain(byte)) {
        text_ += byte;
        continue;
      }
      const auto value = static_cast<unsigned char>(byte);
      text_ += "\\x";
      text_ += digits[value >> 4];
      text_ += digits[value & 0xf];
    }
    text_ += '"';
  }

  std::string text_;
  std::size_t limit_ = 0;
};

class Parser {
 public:
  explicit Parser(std::string_view text) noexcept : rest_(text), size_(text.size()) {}

  /// Reads into `state`, which must be empty.
  void run(RowState& state) {
    expect('{');
    section("entries:[", state.entries);
    section("groups:[", state.groups);
    section("lattices:[", state.lattices);
    section("sets:[", state.sets);
    section("elements:[", state.dots);
    section("rights:[", state.shares);
    expect('}');
    if (!rest_.empty()) refuse("text follows its end");
    if (!sets_are_sound(state)) refuse("an element is newer than its writer");
    if (!shares_are_sound(state)) refuse("rights of no entry");
  }

 private:
  [[noreturn]] void refuse(std::string_view reason) const {
    throw Error(ErrorKind::malformed_text, "malformed row state at character " +
                                               std::to_string(size_ - rest_.size() + 1) + ": " + std::string(reason));
  }

  bool accept(std::string_view token) noexcept {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  bool accept(char token) noexcept {
    if (rest_.empty() || rest_.front() != token) return false;
    rest_.remove_prefix(1);
    return true;
  }
  template <typename Token>
  void expect(Token token) {
    if (!accept(token)) refuse((std::string("expected \"") += token) += '"');
  }

  template <typename List>
  void section(std::string_view name, List& list) {
    const auto before = rest_;
    if (!first_section_ && !accept(',')) return;
    if (!accept(name)) {
      rest_ = before;
      return;
    }
    first_section_ = false;
    do {
      append(list);
    } while (accept(','));
    expect(']');
  }

  /// A number without sign or leading zeros.
  std::uint64_t number(std::uint64_t limit) {
    std::uint64_t value = 0;
    const auto [end, failure] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (failure != std::errc{}) refuse("expected a number");
    const auto length = static_cast<std::size_t>(end - rest_.data());
    if (length > 1 && rest_.front() == '0') refuse("a number has a leading zero");
    if (value > limit) refuse("a number is out of range");
    rest_.remove_prefix(length);
    return value;
  }
  std::uint16_t small_number() { return static_cast<std::uint16_t>(number(std::numeric_limits<std::uint16_t>::max())); }

  Hlc stamp() {
    const std::uint64_t milliseconds = number(std::numeric_limits<std::uint64_t>::max() >> Hlc::counter_bits);
    expect('.');
    return Hlc::from_parts(milliseconds, small_number());
  }

  Actor actor() {
    const std::uint16_t member = small_number();
    if (!accept('/')) return Actor::from_parts(0, member);
    const std::uint16_t epoch = small_number();
    if (epoch == 0) refuse("epoch 0 is not written");
    return Actor::from_parts(epoch, member);
  }

  Decimal amount() {
    const auto length = std::min(rest_.find_first_not_of("-.0123456789"), rest_.size());
    const auto digits = rest_.substr(0, length);
    Decimal value = Decimal::parse(digits);
    if (value.to_string() != digits) refuse("a number is not in its shortest form");
    rest_.remove_prefix(length);
    return value;
  }

  template <typename List>
  Slot slot_after(const List& list) {
    const Slot slot = small_number();
    if (!list.empty() && slot <= list.back().slot) refuse("slots are not in order");
    return slot;
  }

  void append(decltype(RowState::entries)& entries) {
    if (entries.size() == max_entries) throw Error(ErrorKind::limit_exceeded, "row state has too many entries");
    Entry& entry = entries.emplace_back();
    entry.actor = actor();
    expect('@');
    entry.birth = stamp();
    expect(" last ");
    entry.last = stamp();
    if (entries.size() > 1) {
      const Entry& previous = entries[entries.size() - 2];
      if (std::pair(previous.actor, previous.birth) >= std::pair(entry.actor, entry.birth)) {
        refuse("entries are not in order");
      }
    }
    while (accept(" +")) {
      const Slot slot = slot_after(entry.contributions);
      expect('=');
      entry.contributions.push_back(Contribution{slot, amount()});
    }
  }

  void append(decltype(RowState::groups)& groups) {
    GroupStamp group;
    group.slot = slot_after(groups);
    expect(':');
    group.actor = actor();
    expect('@');
    group.birth = stamp();
    expect(" last ");
    group.stamp = stamp();
    groups.push_back(group);
  }

  void append(decltype(RowState::lattices)& lattices) {
    LatticeBirth lattice;
    lattice.slot = slot_after(lattices);
    expect('@');
    lattice.birth = stamp();
    lattices.push_back(lattice);
  }

  void append(std::vector<SetLife>& sets) {
    SetLife life;
    life.slot = slot_after(sets);
    expect('@');
    life.birth = stamp();
    sets.push_back(life);
  }

  void append(std::vector<SetDot>& dots) {
    SetDot dot;
    dot.slot = small_number();
    expect(':');
    dot.element = quoted();
    if (accept('=')) {
      dot.value = quoted();
      if (dot.value.empty()) refuse("an empty value is not written");
    }
    expect(' ');
    dot.actor = actor();
    expect('@');
    dot.birth = stamp();
    expect(" last ");
    dot.stamp = stamp();
    if (!dots.empty() && !precedes(dots.back(), dot)) refuse("elements are not in order");
    dots.push_back(std::move(dot));
  }

  void append(std::vector<Share>& shares) {
    Share share;
    share.slot = small_number();
    expect(':');
    share.actor = actor();
    expect('@');
    share.birth = stamp();
    expect(" of ");
    share.maker = actor();
    const auto name = std::ranges::find_if(share_kind_names, [this](std::string_view text) { return accept(text); });
    if (name == share_kind_names.end()) refuse("expected what became of the rights");
    share.kind = static_cast<Share::Kind>(name - share_kind_names.begin());
    if (names_other(share.kind)) {
      expect(' ');
      share.other = actor();
    }
    expect('=');
    share.amount = amount();
    if (!shares.empty() && !is_before(shares.back(), share)) refuse("rights are not in order");
    shares.push_back(std::move(share));
  }

  std::string quoted() {
    std::string bytes;
    expect('"');
    while (!accept('"')) {
      if (rest_.empty()) refuse("expected \"");
      if (accept("\\x")) {
        const unsigned high = hex_digit();
        bytes += static_cast<char>(high << 4 | hex_digit());
        if (is_plain(bytes.back())) refuse("a printable character is not escaped");
      } else if (is_plain(rest_.front())) {
        bytes += rest_.front();
        rest_.remove_prefix(1);
      } else {
        refuse("expected a printable character");
      }
    }
    return bytes;
  }

  unsigned hex_digit() {
    const auto digit = std::string_view("0123456789abcdef").find(rest_.empty() ? ' ' : rest_.front());
    if (digit == std::string_view::npos) refuse("expected a hexadecimal digit");
    rest_.remove_prefix(1);
    return static_cast<unsigned>(digit);
  }

  std::string_view rest_;
  std::size_t size_;
  bool first_section_ = true;
};

}  // namespace

std::string to_text(const RowState& state) { return Printer().run(state); }

RowState parse_text(std::string_view text) {
  RowState state;
  parse_text(text, state);
  return state;
}

void parse_text(std::string_view text, RowState& state) {
  state.clear();
  const bool has_sets = text.find("sets:[") != std::string_view::npos;
  if (text.size() > (has_sets ? max_text_size_with_sets : max_text_size)) refuse_size();
  Parser(text).run(state);
}

}  // namespace meridian
