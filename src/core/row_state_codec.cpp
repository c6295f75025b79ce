// Binary form of a row state. Every choice that the format leaves (which flag, which reference, which base) is made by
// one function that encoder and decoder share, or checked by the decoder, so there is one encoding per state.
#include "core/row_state_codec.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <tuple>

#include "core/error.hpp"
#include "core/rights.hpp"
#include "core/varint.hpp"

namespace meridian {

namespace {

constexpr std::uint8_t plain_format = 1;
constexpr std::uint8_t extended_format = 2;  ///< plain format and sections; only for states that have one

constexpr std::uint64_t section_sets = 1;
constexpr std::uint64_t section_shares = 2;
constexpr int share_kind_bits = 3;

constexpr int flag_bits = 4;
constexpr std::uint64_t flag_one_birth = 1;    ///< all entries are of one life: its birth is written once
constexpr std::uint64_t flag_counters = 2;     ///< entries carry contributions
constexpr std::uint64_t flag_plain_group = 4;  ///< the only group is the default one, written by the leading entry
constexpr std::uint64_t flag_lattices = 8;

constexpr std::uint64_t max_milliseconds = std::numeric_limits<std::uint64_t>::max() >> Hlc::counter_bits;
constexpr std::uint64_t max_slot = std::numeric_limits<Slot>::max();

/// A group that names its writer: 0, or 1 + 2 * (index of the entry with its birth and actor), plus 1 if the group's
/// stamp is not that entry's last.
constexpr std::uint64_t explicit_writer = 0;

/// How the stamp of a dot is written: it is the birth or the last write of its entry, or follows.
constexpr int dot_stamp_bits = 2;
constexpr std::uint64_t stamp_is_birth = 0;
constexpr std::uint64_t stamp_is_last = 1;
constexpr std::uint64_t stamp_follows = 2;

std::uint64_t sections_of(const RowState& state) noexcept {
  return (state.sets.empty() ? 0 : section_sets) | (state.shares.empty() ? 0 : section_shares);
}

/// Milliseconds that all stamps of the state are written relative to.
std::uint64_t base_of(const RowState& state) noexcept {
  Hlc lowest{std::numeric_limits<std::uint64_t>::max()};
  for (const Entry& entry : state.entries) lowest = std::min({lowest, entry.birth, entry.last});
  for (const GroupStamp& group : state.groups) lowest = std::min({lowest, group.birth, group.stamp});
  for (const LatticeBirth& lattice : state.lattices) lowest = std::min(lowest, lattice.birth);
  for (const SetLife& life : state.sets) lowest = std::min(lowest, life.birth);
  for (const SetDot& dot : state.dots) lowest = std::min(lowest, dot.stamp);
  const bool empty = state.entries.empty() && state.groups.empty() && state.lattices.empty() && state.sets.empty();
  return empty ? 0 : lowest.milliseconds();
}

/// The entry of the row's latest write. The state must be live.
const Entry& leading_entry(const RowState& state) noexcept {
  const auto order = [](const Entry& entry) { return std::tuple(entry.birth, entry.last, entry.actor); };
  return *std::ranges::max_element(state.entries, {}, order);
}

bool one_birth(const RowState& state) noexcept {
  return state.live() && std::ranges::all_of(state.entries, [&](const Entry& entry) {
           return entry.birth == state.entries.front().birth;
         });
}

bool has_contributions(const RowState& state) noexcept {
  return std::ranges::any_of(state.entries, [](const Entry& entry) { return !entry.contributions.empty(); });
}

GroupStamp plain_group(const RowState& state) noexcept {
  const Entry& entry = leading_entry(state);
  return GroupStamp{default_group, entry.birth, entry.last, entry.actor};
}

std::uint64_t flags_of(const RowState& state) noexcept {
  std::uint64_t flags = 0;
  if (one_birth(state)) flags |= flag_one_birth;
  if (has_contributions(state)) flags |= flag_counters;
  if (state.live() && state.groups.size() == 1 && state.groups.front() == plain_group(state)) {
    flags |= flag_plain_group;
  }
  if (!state.lattices.empty()) flags |= flag_lattices;
  return flags;
}

std::uint64_t stamp_form(const Entry& entry, Hlc stamp) noexcept {
  if (stamp == entry.birth) return stamp_is_birth;
  return stamp == entry.last ? stamp_is_last : stamp_follows;
}

/// How a group names its writer, see `explicit_writer`.
std::uint64_t writer_reference(const RowState& state, const GroupStamp& group) noexcept {
  const Entry* writer = find_entry(state, group.actor, group.birth);
  if (writer == nullptr) return explicit_writer;
  const auto index = static_cast<std::uint64_t>(writer - state.entries.data());
  return 1 + 2 * index + (writer->last == group.stamp ? 0 : 1);
}

class Encoder {
 public:
  Encoder(const RowState& state, Bytes& out)
      : state_(state), out_(out), base_(base_of(state)), largest_birth_(state.largest_birth()) {}

  void run() {
    const std::uint64_t flags = flags_of(state_);
    out_.room_for(6);
    const std::uint64_t sections = sections_of(state_);
    out_.varint(sections == 0 ? plain_format : extended_format);
    out_.varint((state_.entries.size() << flag_bits) | flags);
    out_.varint(base_);
    if ((flags & flag_one_birth) != 0) put(state_.entries.front().birth);
    for (const Entry& entry : state_.entries) put(entry, flags);
    if ((flags & flag_plain_group) == 0) {
      out_.room_for(1);
      out_.varint(state_.groups.size());
      for (const GroupStamp& group : state_.groups) put(group);
    }
    if ((flags & flag_lattices) != 0) {
      out_.room_for(1);
      out_.varint(state_.lattices.size());
      for (const LatticeBirth& lattice : state_.lattices) put(lattice);
    }
    if (sections == 0) return;
    out_.room_for(2);
    out_.varint(sections);
    if ((sections & section_sets) != 0) put_sets();
    if ((sections & section_shares) != 0) put_shares();
  }

 private:
  void put(Hlc stamp) {
    out_.varint(stamp.milliseconds() - base_);
    out_.varint(stamp.counter());
  }

  void put(Actor actor) {
    out_.varint(actor.member());
    out_.varint(actor.epoch());
  }

  void put(const Entry& entry, std::uint64_t flags) {
    out_.room_for(7);
    put(entry.actor);
    if ((flags & flag_one_birth) == 0) put(entry.birth);
    put(entry.last);
    if ((flags & flag_counters) == 0) return;
    out_.varint(entry.contributions.size());
    for (const Contribution& contribution : entry.contributions) {
      out_.room_for(3);
      out_.varint(contribution.slot);
      put(contribution.amount);
    }
  }

  void put(const Decimal& amount) {
    const BigInteger* big = amount.big_mantissa();
    out_.varint((std::uint64_t{amount.scale()} << 1) | (big == nullptr ? 0 : 1));
    if (big == nullptr) {
      out_.varint(zigzag(amount.small_mantissa()));
      return;
    }
    out_.varint((big->limbs().size() << 1) | (big->is_negative() ? 1 : 0));
    out_.room_for(big->limbs().size());
    for (const std::uint32_t limb : big->limbs()) out_.varint(limb);
  }

  void put(const GroupStamp& group) {
    const std::uint64_t reference = writer_reference(state_, group);
    out_.room_for(8);
    out_.varint(group.slot);
    out_.varint(reference);
    if (reference == explicit_writer) {
      put(group.actor);
      put(group.birth);
      put(group.stamp);
    } else if (reference % 2 == 0) {
      put(group.stamp);
    }
  }

  void put(const LatticeBirth& lattice) {
    out_.room_for(3);
    const bool own_birth = lattice.birth != largest_birth_;
    out_.varint((std::uint64_t{lattice.slot} << 1) | (own_birth ? 1 : 0));
    if (own_birth) put(lattice.birth);
  }

  void put_shares() {
    for (const Entry& entry : state_.entries) {
      const auto shares = shares_of(state_, entry.actor, entry.birth);
      out_.room_for(1);
      out_.varint(shares.size());
      for (const Share& share : shares) {
        out_.room_for(5);
        out_.varint((std::uint64_t{share.slot} << share_kind_bits) | static_cast<std::uint64_t>(share.kind));
        put(share.maker);
        if (names_other(share.kind)) put(share.other);
        out_.room_for(3);
        put(share.amount);
      }
    }
  }

  void put_sets() {
    out_.varint(state_.sets.size());
    for (const SetLife& life : state_.sets) {
      out_.room_for(4);
      const bool own_birth = life.birth != largest_birth_;
      out_.varint((std::uint64_t{life.slot} << 1) | (own_birth ? 1 : 0));
      if (own_birth) put(life.birth);
      const auto dots = dots_of(state_, life.slot);
      out_.varint(dots.size());
      for (const SetDot& dot : dots) put(dot);
    }
  }

  void put(const SetDot& dot) {
    const bool has_value = !dot.value.empty();
    out_.room_for(1);
    out_.varint((std::uint64_t{dot.element.size()} << 1) | (has_value ? 1 : 0));
    out_.raw(dot.element);
    if (has_value) {
      out_.room_for(1);
      out_.varint(dot.value.size());
      out_.raw(dot.value);
    }
    const Entry* entry = find_entry(state_, dot.actor, dot.birth);
    const std::uint64_t form = stamp_form(*entry, dot.stamp);
    out_.room_for(3);
    out_.varint((static_cast<std::uint64_t>(entry - state_.entries.data()) << dot_stamp_bits) | form);
    if (form == stamp_follows) put(dot.stamp);
  }

  const RowState& state_;
  Writer out_;
  std::uint64_t base_;
  Hlc largest_birth_;
};

class Decoder {
 public:
  /// Reads into `state`, which must be empty.
  Decoder(std::span<const std::byte> bytes, RowState& state) noexcept : in_(bytes), state_(state) {}

  void run() {
    const std::uint8_t format = in_.byte();
    if (format != plain_format && format != extended_format) Reader::refuse("unknown format");
    const std::uint64_t head = in_.varint();
    const std::uint64_t flags = head & ((1U << flag_bits) - 1);
    base_ = in_.varint_up_to(max_milliseconds);
    read_entries(head >> flag_bits, flags);
    if ((flags & flag_plain_group) == 0) {
      read_groups();
    } else if (state_.live()) {
      state_.groups.push_back(plain_group(state_));
    }
    if ((flags & flag_lattices) != 0) read_lattices();
    if (format == extended_format) {
      const std::uint64_t sections = in_.varint();
      if ((sections & section_sets) != 0) read_sets();
      if ((sections & section_shares) != 0) read_shares();
      if (sections == 0 || sections != sections_of(state_)) Reader::refuse("it is not in canonical form");
    }
    if (in_.remaining() != 0) Reader::refuse("bytes follow its end");
    if (flags != flags_of(state_) || base_ != base_of(state_)) Reader::refuse("it is not in canonical form");
  }

 private:
  /// Reads a count of items that take at least `least_bytes` each, so that no count can ask for more memory than its
  /// items could fill.
  std::size_t count(std::size_t least_bytes) {
    return static_cast<std::size_t>(in_.varint_up_to(in_.remaining() / least_bytes));
  }

  Hlc stamp() {
    const std::uint64_t milliseconds = base_ + in_.varint_up_to(max_milliseconds - base_);
    return Hlc::from_parts(milliseconds, static_cast<std::uint16_t>(in_.varint_up_to(0xffff)));
  }

  Actor actor() {
    const auto member = static_cast<std::uint16_t>(in_.varint_up_to(0xffff));
    return Actor::from_parts(static_cast<std::uint16_t>(in_.varint_up_to(0xffff)), member);
  }

  /// Reads a slot that must be larger than those of all elements of `list`.
  template <typename List>
  static Slot check_slot(const List& list, std::uint64_t slot) {
    if (!list.empty() && slot <= list.back().slot) Reader::refuse("slots are not in order");
    return static_cast<Slot>(slot);
  }

  void read_entries(std::uint64_t entries, std::uint64_t flags) {
    constexpr std::size_t least_bytes = 4;
    if (entries > max_entries) throw Error(ErrorKind::limit_exceeded, "row state has too many entries");
    if (entries > in_.remaining() / least_bytes) Reader::refuse("it ends too early");
    const Hlc common_birth = (flags & flag_one_birth) != 0 ? stamp() : never;
    state_.entries.reserve(entries);
    for (std::uint64_t i = 0; i < entries; ++i) {
      Entry& entry = state_.entries.emplace_back();
      entry.actor = actor();
      entry.birth = (flags & flag_one_birth) != 0 ? common_birth : stamp();
      entry.last = stamp();
      if (i != 0) {
        const Entry& previous = state_.entries[i - 1];
        if (std::pair(previous.actor, previous.birth) >= std::pair(entry.actor, entry.birth)) {
          Reader::refuse("entries are not in order");
        }
      }
      if ((flags & flag_counters) != 0) read_contributions(entry.contributions);
    }
  }

  void read_contributions(Contributions& contributions) {
    const std::size_t contributing = count(3);
    contributions.reserve(contributing);
    for (std::size_t i = 0; i < contributing; ++i) {
      const Slot slot = check_slot(contributions, in_.varint_up_to(max_slot));
      contributions.push_back(Contribution{slot, amount()});
    }
  }

  Decimal amount() {
    const std::uint64_t head = in_.varint_up_to((std::uint64_t{Decimal::max_scale} << 1) | 1);
    const auto scale = static_cast<std::uint16_t>(head >> 1);
    if ((head & 1) == 0) return Decimal::from_mantissa(unzigzag(in_.varint()), scale);

    const std::uint64_t size = in_.varint();
    if ((size >> 1) > in_.remaining()) Reader::refuse("it ends too early");
    std::vector<std::uint32_t> limbs(static_cast<std::size_t>(size >> 1));
    for (auto& limb : limbs) limb = static_cast<std::uint32_t>(in_.varint_up_to(BigInteger::limb_base - 1));
    if (limbs.empty() || limbs.back() == 0) Reader::refuse("a number is not in its shortest form");
    Decimal amount = Decimal::from_mantissa(BigInteger((size & 1) != 0, limbs), scale);
    if (amount.big_mantissa() == nullptr) Reader::refuse("a number is not in its shortest form");
    if (!amount.fits_numeric()) Reader::refuse("a number is out of range");
    return amount;
  }

  void read_groups() {
    const std::size_t groups = count(2);
    state_.groups.reserve(groups);
    for (std::size_t i = 0; i < groups; ++i) {
      GroupStamp group;
      group.slot = check_slot(state_.groups, in_.varint_up_to(max_slot));
      const std::uint64_t reference = in_.varint_up_to(2 * state_.entries.size());
      if (reference == explicit_writer) {
        group.actor = actor();
        group.birth = stamp();
        group.stamp = stamp();
      } else {
        const Entry& writer = state_.entries[(reference - 1) / 2];
        group.actor = writer.actor;
        group.birth = writer.birth;
        group.stamp = reference % 2 == 0 ? stamp() : writer.last;
      }
      if (reference != writer_reference(state_, group)) Reader::refuse("it is not in canonical form");
      state_.groups.push_back(group);
    }
  }

  void read_lattices() {
    const Hlc largest_birth = state_.largest_birth();
    const std::size_t lattices = count(1);
    state_.lattices.reserve(lattices);
    for (std::size_t i = 0; i < lattices; ++i) {
      const std::uint64_t head = in_.varint_up_to((max_slot << 1) | 1);
      LatticeBirth lattice{check_slot(state_.lattices, head >> 1), largest_birth};
      if ((head & 1) != 0) {
        lattice.birth = stamp();
        if (lattice.birth == largest_birth) Reader::refuse("it is not in canonical form");
      }
      state_.lattices.push_back(lattice);
    }
  }

  void read_sets() {
    const Hlc largest_birth = state_.largest_birth();
    const std::size_t sets = count(2);
    for (std::size_t i = 0; i < sets; ++i) {
      const std::uint64_t head = in_.varint_up_to((max_slot << 1) | 1);
      SetLife life{check_slot(state_.sets, head >> 1), largest_birth};
      if ((head & 1) != 0) {
        life.birth = stamp();
        if (life.birth == largest_birth) Reader::refuse("it is not in canonical form");
      }
      state_.sets.push_back(life);
      for (std::size_t dots = count(2); dots > 0; --dots) read_dot(life);
    }
  }

  void read_shares() {
    for (const Entry& entry : state_.entries) {
      for (std::size_t shares = count(5); shares > 0; --shares) {
        Share share{.actor = entry.actor, .birth = entry.birth, .maker = {}, .other = {}, .amount = {}};
        const std::uint64_t head = in_.varint_up_to((max_slot << share_kind_bits) | ((1U << share_kind_bits) - 1));
        share.slot = static_cast<Slot>(head >> share_kind_bits);
        const std::uint64_t kind = head & ((1U << share_kind_bits) - 1);
        if (kind > static_cast<std::uint64_t>(Share::Kind::want_raise)) Reader::refuse("a number is out of range");
        share.kind = static_cast<Share::Kind>(kind);
        share.maker = actor();
        if (names_other(share.kind)) share.other = actor();
        share.amount = amount();
        if (!state_.shares.empty() && !is_before(state_.shares.back(), share))
          Reader::refuse("shares are not in order");
        state_.shares.push_back(std::move(share));
      }
    }
  }

  void read_dot(const SetLife& life) {
    SetDot dot;
    dot.slot = life.slot;
    const std::uint64_t head = in_.varint();
    dot.element = in_.raw(head >> 1);
    if ((head & 1) != 0) {
      dot.value = in_.raw(in_.varint());
      if (dot.value.empty()) Reader::refuse("it is not in canonical form");
    }
    const std::uint64_t reference = in_.varint();
    if (reference >> dot_stamp_bits >= state_.entries.size()) Reader::refuse("a number is out of range");
    const Entry& entry = state_.entries[static_cast<std::size_t>(reference >> dot_stamp_bits)];
    const std::uint64_t form = reference & ((1U << dot_stamp_bits) - 1);
    dot.actor = entry.actor;
    dot.birth = entry.birth;
    dot.stamp = form == stamp_is_birth ? entry.birth : form == stamp_is_last ? entry.last : stamp();
    if (form != stamp_form(entry, dot.stamp)) Reader::refuse("it is not in canonical form");
    if (dot.stamp > entry.last || dot.birth > life.birth) Reader::refuse("an element is newer than its writer");
    if (!state_.dots.empty() && !precedes(state_.dots.back(), dot)) Reader::refuse("elements are not in order");
    state_.dots.push_back(std::move(dot));
  }

  Reader in_;
  RowState& state_;
  std::uint64_t base_ = 0;
};

}  // namespace

void encode(const RowState& state, Bytes& out) {
  const std::size_t start = out.size();
  if (state.entries.size() > max_entries) throw Error(ErrorKind::limit_exceeded, "row state has too many entries");
  Encoder(state, out).run();
  const std::size_t limit = state.sets.empty() ? max_encoded_size : max_encoded_size_with_sets;
  if (out.size() - start > limit) throw Error(ErrorKind::limit_exceeded, "row state is too large");
}

RowState decode(std::span<const std::byte> bytes) {
  RowState state;
  decode(bytes, state);
  return state;
}

void decode(std::span<const std::byte> bytes, RowState& state) {
  state.clear();
  const bool extended = !bytes.empty() && std::to_integer<std::uint8_t>(bytes.front()) == extended_format;
  if (bytes.size() > (extended ? max_encoded_size_with_sets : max_encoded_size))
    throw Error(ErrorKind::limit_exceeded, "row state is too large");
  Decoder(bytes, state).run();
}

}  // namespace meridian
