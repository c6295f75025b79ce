#include "pg/rights_ops.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "pg/state_scratch.hpp"

namespace meridian::pg {
namespace {

struct Scratch {
  std::vector<std::string> texts;
  std::vector<RightsOwner> owners;
};

// A pointer, not an object: nothing may run at load or exit time of the library.
Scratch* scratch_area = nullptr;

Scratch& scratch() {
  if (scratch_area == nullptr) scratch_area = new Scratch;
  return *scratch_area;
}

const Bound& bound_of(const Shape& shape, const RightsMove& move) {
  return shape.bounds[static_cast<std::size_t>(move.bound)];
}

}  // namespace

bool find_shortage(const Shape& shape, Actor actor, const ImageState& old_row, const LocalChange& change,
                   RightsShortage* out) {
  const RowState state = read_state(shape, old_row);
  const Contributions amounts = bounded_deltas(shape, change);
  for (const Contribution& delta : amounts) {
    const auto bound = std::ranges::find(shape.bounds, delta.slot, &Bound::slot);
    const std::optional<Shortage> shortage = meridian::find_shortage(state, *bound, actor, delta.amount);
    if (!shortage) continue;
    std::vector<std::string>& texts = scratch().texts;
    texts = {shortage->needed.to_string(), shortage->here.to_string(), shortage->total.value_or(Decimal{}).to_string()};
    *out = {.bound = static_cast<int>(bound - shape.bounds.begin()),
            .right = shortage->right,
            .needed = texts[0].c_str(),
            .here = texts[1].c_str(),
            .total = texts[2].c_str(),
            .others_have_them = !shortage->total || compare(*shortage->total, shortage->needed) >= 0};
    return true;
  }
  return false;
}

Moved move_rights(const Shape& shape, Actor actor, Hlc stamp, const ImageState& row, const RightsMove& move,
                  StateBytes* out, Hlc* exceed) {
  RowState state = read_state(shape, row);
  *exceed = state.highest_stamp();
  if (stamp <= *exceed) return Moved::stamp_too_old;
  bool changed = true;
  switch (move.kind) {
    case RightsMove::Kind::want:
      changed =
          ask_for_rights(state, shape, bound_of(shape, move), move.right, actor, stamp, Decimal::parse(move.amount));
      break;
    case RightsMove::Kind::grant:
      changed = grant_rights(state, shape, actor, stamp);
      break;
    case RightsMove::Kind::transfer:
      transfer_rights(state, shape, bound_of(shape, move), move.right, actor, stamp, move.other,
                      Decimal::parse(move.amount));
      break;
    case RightsMove::Kind::take:
      changed = take_rights(state, shape, bound_of(shape, move), actor, stamp, move.other);
      break;
  }
  if (!changed) return Moved::nothing;
  *out = put_state(state);
  return Moved::done;
}

bool may_grant(const Shape& shape, Actor actor, const ImageState& row) {
  return meridian::may_grant(read_state(shape, row), shape, actor);
}

RightsOwners list_rights(const Shape& shape, const ImageState& row, int bound, Actor self) {
  const RowState state = read_state(shape, row);
  const Bound& limits = shape.bounds[static_cast<std::size_t>(bound)];
  std::vector<Actor> actors = right_owners(state, limits);
  const bool listed = std::ranges::find(actors, self) != actors.end();
  if (!listed && self != nobody) actors.push_back(self);
  std::vector<std::string>& texts = scratch().texts;
  texts.clear();
  for (const Actor actor : actors) {
    for (const Right right : {Right::lower, Right::raise}) {
      texts.push_back(rights_of(state, limits, right, actor).to_string());
    }
  }
  std::vector<RightsOwner>& owners = scratch().owners;
  owners.clear();
  for (std::size_t i = 0; i < actors.size(); ++i) {
    owners.push_back({actors[i], texts[2 * i].c_str(), limits.max ? texts[2 * i + 1].c_str() : nullptr});
  }
  return {owners.data(), static_cast<int>(owners.size())};
}

}  // namespace meridian::pg
