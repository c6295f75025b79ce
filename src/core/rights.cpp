#include "core/rights.hpp"

#include <algorithm>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "core/error.hpp"

namespace meridian {

namespace {

using Kind = Share::Kind;

constexpr Kind gave(Right right) noexcept { return right == Right::lower ? Kind::gave_lower : Kind::gave_raise; }
constexpr Kind took(Right right) noexcept { return right == Right::lower ? Kind::took_lower : Kind::took_raise; }
constexpr Kind want(Right right) noexcept { return right == Right::lower ? Kind::want_lower : Kind::want_raise; }

/// Whose rights those of an actor are: a row from before replication belongs to the holder.
Actor owner_of(Actor actor, const Bound& bound) noexcept { return actor == nobody ? bound.holder : actor; }

/// The maker of the life that counts; nullopt if the column was never written.
std::optional<Actor> maker_of(const RowState& state, const Bound& bound) {
  const Hlc birth = state.largest_birth();
  std::optional<Actor> maker;
  for (const Share& share : state.shares) {
    if (share.birth != birth || share.slot != bound.slot) continue;
    if (!maker || *maker < share.maker) maker = share.maker;
  }
  return maker;
}

/// Visits the shares of the life that counts.
template <typename Visit>
void for_each_share(const RowState& state, const Bound& bound, Visit visit) {
  const std::optional<Actor> maker = maker_of(state, bound);
  if (!maker) return;
  const Hlc birth = state.largest_birth();
  for (const Share& share : state.shares) {
    if (share.birth == birth && share.slot == bound.slot && share.maker == *maker) visit(share);
  }
}

bool is_below(const Decimal& a, const Decimal& b) { return compare(a, b) < 0; }
bool is_positive(const Decimal& a) noexcept { return !a.is_negative() && !a.is_zero(); }

const Decimal* find(std::span<const Contribution> amounts, Slot slot) noexcept {
  const auto found = std::ranges::find(amounts, slot, &Contribution::slot);
  return found == amounts.end() ? nullptr : &found->amount;
}

/// Half of it, rounded towards 0 in its own scale; 0 for numbers that are too large to matter.
Decimal half_of(const Decimal& amount) {
  if (amount.big_mantissa() != nullptr) return Decimal{};
  return Decimal::from_mantissa(amount.small_mantissa() / 2, amount.scale());
}

/// The share of the actor in the latest life, made if it is missing. The column must have been written in it.
Share& own_share(RowState& state, const Bound& bound, Actor actor, Kind kind, Actor other) {
  Share share{.actor = actor,
              .birth = state.largest_birth(),
              .slot = bound.slot,
              .maker = maker_of(state, bound).value(),
              .kind = kind,
              .other = other,
              .amount = {}};
  const auto position = std::ranges::lower_bound(state.shares, share, is_before);
  if (position != state.shares.end() && !is_before(share, *position)) return *position;
  return *state.shares.insert(position, std::move(share));
}

void add(RowState& state, const Bound& bound, Actor actor, Kind kind, Actor other, const Decimal& amount) {
  Share& share = own_share(state, bound, actor, kind, other);
  share.amount += amount;
  if (share.amount.fits_numeric()) return;
  throw Error(ErrorKind::limit_exceeded, "bounded column exceeds the limits of numeric");
}

/// Another epoch of the same member has written the row since.
bool is_superseded(const RowState& state, Actor actor) noexcept {
  return std::ranges::any_of(state.entries, [actor](const Entry& entry) {
    return entry.actor.member() == actor.member() && entry.actor.epoch() > actor.epoch();
  });
}

struct Grant {
  Right right;
  Actor to;
  Decimal amount;
};

/// What `actor` should give next of the column.
std::optional<Grant> next_grant(const RowState& state, const Bound& bound, Actor actor) {
  std::optional<Grant> grant;
  for_each_share(state, bound, [&](const Share& share) {
    if (grant || (share.kind != Kind::want_lower && share.kind != Kind::want_raise) || share.actor == actor) return;
    const Right right = share.kind == Kind::want_lower ? Right::lower : Right::raise;
    const Decimal lacking = share.amount - rights_of(state, bound, right, share.actor);
    const std::optional<Decimal> total = all_rights(state, bound, right);
    if (!is_positive(lacking) || !total || is_below(*total, share.amount) || is_superseded(state, share.actor)) return;
    const Decimal spare = rights_of(state, bound, right, actor);
    if (!is_positive(spare)) return;
    const Decimal half = half_of(spare);
    const Decimal& wished = is_below(lacking, half) ? half : lacking;
    grant = Grant{right, share.actor, is_below(spare, wished) ? spare : wished};
  });
  return grant;
}

Error refusal(const Shortage& shortage) {
  const char* verb = shortage.right == Right::lower ? "subtract" : "add";
  const std::string total = shortage.total.value_or(Decimal{}).to_string();
  return {
      ErrorKind::rights_exceeded,
      std::string("this node may ") + verb + " " + shortage.here.to_string() + ", not " + shortage.needed.to_string(),
      std::string("All nodes together may ") + verb + " " + total + '.'};
}

/// Throws unless `actor` has that many rights.
void require_rights(const RowState& state, const Bound& bound, Right right, Actor actor, const Decimal& needed) {
  const Decimal here = rights_of(state, bound, right, actor);
  if (is_below(here, needed)) throw refusal({right, needed, here, all_rights(state, bound, right)});
}

}  // namespace

std::optional<Decimal> bounded_value(const RowState& state, const Bound& bound) {
  std::optional<Decimal> value;
  for_each_share(state, bound, [&](const Share& share) {
    if (share.kind == Kind::change) value = value ? *value + share.amount : share.amount;
  });
  if (!value) return value;
  if (is_below(*value, bound.min)) return bound.min;
  return bound.max && is_below(*bound.max, *value) ? bound.max : value;
}

Decimal rights_of(const RowState& state, const Bound& bound, Right right, Actor actor) {
  Decimal rights;
  const std::optional<Actor> maker = maker_of(state, bound);
  if (!maker) return rights;
  if (owner_of(*maker, bound) == actor) rights = right == Right::lower ? -bound.min : bound.max.value_or(Decimal{});
  for_each_share(state, bound, [&](const Share& share) {
    const bool own = owner_of(share.actor, bound) == actor;
    if (share.kind == Kind::change) {
      if (own) rights += right == Right::lower ? share.amount : -share.amount;
    } else if (share.kind == gave(right) || share.kind == took(right)) {
      const bool receives = share.kind == gave(right) ? share.other == actor : own;
      const bool loses = share.kind == gave(right) ? own : share.other == actor;
      if (receives) rights += share.amount;
      if (loses) rights += -share.amount;
    }
  });
  return rights;
}

std::optional<Decimal> all_rights(const RowState& state, const Bound& bound, Right right) {
  if (right == Right::raise && !bound.max) return std::nullopt;
  const std::optional<Decimal> value = bounded_value(state, bound);
  if (!value) return Decimal{};
  return right == Right::lower ? *value - bound.min : *bound.max - *value;
}

std::vector<Actor> right_owners(const RowState& state, const Bound& bound) {
  std::vector<Actor> owners;
  for_each_share(state, bound, [&](const Share& share) {
    owners.push_back(owner_of(share.actor, bound));
    if (names_other(share.kind)) owners.push_back(share.other);
  });
  std::ranges::sort(owners);
  owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
  return owners;
}

std::optional<Shortage> find_shortage(const RowState& state, const Bound& bound, Actor actor, const Decimal& delta) {
  const bool written = maker_of(state, bound).has_value();
  const Right right = delta.is_negative() ? Right::lower : Right::raise;
  if (written && (delta.is_zero() || (right == Right::raise && !bound.max))) return std::nullopt;
  const Decimal needed = delta.is_negative() ? -delta : delta;
  const Decimal here = rights_of(state, bound, right, actor);
  if (written && !is_below(here, needed)) return std::nullopt;
  return Shortage{right, needed, here, all_rights(state, bound, right)};
}

void transfer_rights(RowState& state, const Shape& shape, const Bound& bound, Right right, Actor actor, Hlc stamp,
                     Actor to, const Decimal& amount) {
  if (to == actor || to == nobody || !is_positive(amount)) {
    throw std::invalid_argument("transfer of rights to oneself, to nobody, or of nothing");
  }
  require_rights(state, bound, right, actor, amount);
  write_entry(state, shape, actor, stamp);
  add(state, bound, actor, gave(right), to, amount);
}

bool take_rights(RowState& state, const Shape& shape, const Bound& bound, Actor actor, Hlc stamp, Actor from) {
  if (from == actor) throw std::invalid_argument("rights taken over from oneself");
  const Decimal lower = rights_of(state, bound, Right::lower, from);
  const Decimal raise = bound.max ? rights_of(state, bound, Right::raise, from) : Decimal{};
  if (!is_positive(lower) && !is_positive(raise)) return false;
  write_entry(state, shape, actor, stamp);
  if (is_positive(lower)) add(state, bound, actor, Kind::took_lower, from, lower);
  if (is_positive(raise)) add(state, bound, actor, Kind::took_raise, from, raise);
  return true;
}

void want_rights(RowState& state, const Shape& shape, const Bound& bound, Right right, Actor actor, Hlc stamp,
                 const Decimal& level) {
  write_entry(state, shape, actor, stamp);
  own_share(state, bound, actor, want(right), nobody).amount = level;
}

bool ask_for_rights(RowState& state, const Shape& shape, const Bound& bound, Right right, Actor actor, Hlc stamp,
                    const Decimal& level) {
  const std::optional<Decimal> total = all_rights(state, bound, right);
  if (!total || is_below(*total, level) || !is_below(rights_of(state, bound, right, actor), level)) return false;
  const std::optional<Decimal> asked = wanted_rights(state, bound, right, actor);
  const Entry* own = find_entry(state, actor, state.largest_birth());
  const bool recently = own != nullptr && stamp.milliseconds() < own->last.milliseconds() + patience_ms;
  if (asked && !is_below(*asked, level) && recently) return false;
  want_rights(state, shape, bound, right, actor, stamp, level);
  return true;
}

std::optional<Decimal> wanted_rights(const RowState& state, const Bound& bound, Right right, Actor actor) {
  std::optional<Decimal> wanted;
  for_each_share(state, bound, [&](const Share& share) {
    if (share.kind == want(right) && share.actor == actor) wanted = share.amount;
  });
  return wanted;
}

bool may_grant(const RowState& state, const Shape& shape, Actor actor) {
  if (state.shares.empty()) return false;
  return std::ranges::any_of(shape.bounds,
                             [&](const Bound& bound) { return next_grant(state, bound, actor).has_value(); });
}

bool grant_rights(RowState& state, const Shape& shape, Actor actor, Hlc stamp) {
  if (!may_grant(state, shape, actor)) return false;
  write_entry(state, shape, actor, stamp);
  for (const Bound& bound : shape.bounds) {
    // Every grant leaves somebody with what he wants, or `actor` with nothing.
    while (const std::optional<Grant> grant = next_grant(state, bound, actor)) {
      add(state, bound, actor, gave(grant->right), grant->to, grant->amount);
    }
  }
  return true;
}

std::span<const Share> shares_of(const RowState& state, Actor actor, Hlc birth) noexcept {
  const auto key = [](const Share& share) { return std::pair(share.actor, share.birth); };
  const auto wanted = std::pair(actor, birth);
  return {std::ranges::lower_bound(state.shares, wanted, {}, key),
          std::ranges::upper_bound(state.shares, wanted, {}, key)};
}

bool shares_are_sound(const RowState& state) noexcept {
  for (std::size_t i = 0; i < state.shares.size(); ++i) {
    const Share& share = state.shares[i];
    if (i != 0 && !is_before(state.shares[i - 1], share)) return false;
    if (!names_other(share.kind) && share.other != nobody) return false;
    if (find_entry(state, share.actor, share.birth) == nullptr) return false;
  }
  return true;
}

void check_first_value(const Bound& bound, std::span<const Contribution> values) {
  constexpr const char* hint = "Insert a value within the bounds of the column's rule.";
  const Decimal* value = find(values, bound.slot);
  if (value == nullptr) throw Error(ErrorKind::out_of_bounds, "a bounded column cannot be NULL", hint);
  if (is_below(*value, bound.min)) {
    throw Error(ErrorKind::out_of_bounds, value->to_string() + " is below the minimum " + bound.min.to_string(), hint);
  }
  if (bound.max && is_below(*bound.max, *value)) {
    throw Error(ErrorKind::out_of_bounds, value->to_string() + " is above the maximum " + bound.max->to_string(), hint);
  }
}

void begin_bounded(RowState& state, const Bound& bound, std::span<const Contribution> values) {
  const Decimal* value = find(values, bound.slot);
  if (value == nullptr) return;
  const Entry& entry = state.entries.front();
  Share share{.actor = entry.actor,
              .birth = entry.birth,
              .slot = bound.slot,
              .maker = entry.actor,
              .kind = Kind::change,
              .other = nobody,
              .amount = *value};
  state.shares.insert(std::ranges::upper_bound(state.shares, share, is_before), std::move(share));
}

void check_rights(const RowState& state, const Bound& bound, Actor actor, std::span<const Contribution> deltas) {
  const Decimal* delta = find(deltas, bound.slot);
  if (delta == nullptr) return;
  if (const std::optional<Shortage> shortage = find_shortage(state, bound, actor, *delta)) throw refusal(*shortage);
}

void change_bounded(RowState& state, const Bound& bound, Actor actor, std::span<const Contribution> deltas) {
  const Decimal* delta = find(deltas, bound.slot);
  if (delta == nullptr || delta->is_zero()) return;
  add(state, bound, actor, Kind::change, nobody, *delta);
  // Of this life only: the entries of others are not written now, and one write has one content on all nodes.
  const Kind done = want(delta->is_negative() ? Right::lower : Right::raise);
  const Hlc birth = state.largest_birth();
  std::erase_if(state.shares, [&](const Share& share) {
    return share.actor == actor && share.birth == birth && share.slot == bound.slot && share.kind == done;
  });
}

}  // namespace meridian
