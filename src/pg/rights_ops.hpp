// Rights of bounded columns (core/rights.hpp) as the glue sees them: the core lane, as in state_ops.hpp. `bound` is an
// index into Shape::bounds. Texts live in a scratch area that the next call of a function here overwrites.
#pragma once

#include "core/rights.hpp"
#include "pg/state_ops.hpp"

namespace meridian::pg {

/// Why a local UPDATE is refused.
struct RightsShortage {
  int bound;
  Right right;
  const char* needed;
  const char* here;
  const char* total;
  bool others_have_them;  ///< all nodes together could do it
};
/// The first bounded column that `actor` has too few rights to change so.
bool find_shortage(const Shape& shape, Actor actor, const ImageState& old_row, const LocalChange& change,
                   RightsShortage* out);

/// What is to become of rights to a row. `grant` looks at every bounded column of it.
struct RightsMove {
  enum class Kind : std::uint8_t { want, grant, transfer, take };
  Kind kind;
  int bound;
  Right right;
  Actor other;         ///< to whom, or from whom
  const char* amount;  ///< of want and transfer
};
enum class Moved { done, nothing, stamp_too_old };
/// Writes the move into the state of a row, at `stamp`; `exceed` as in stamp_update. Throws Error(rights_exceeded) if
/// `actor` does not have what it is to give.
Moved move_rights(const Shape& shape, Actor actor, Hlc stamp, const ImageState& row, const RightsMove& move,
                  StateBytes* out, Hlc* exceed);
/// True if somebody wants rights to the row that `actor` can give.
bool may_grant(const Shape& shape, Actor actor, const ImageState& row);

/// What one actor may do; the texts are numbers. `raise == nullptr`: without limit.
struct RightsOwner {
  Actor actor;
  const char* lower;
  const char* raise;
};
struct RightsOwners {
  const RightsOwner* owners;
  int count;
};
/// `self` is listed even if it has none, unless it is nobody.
RightsOwners list_rights(const Shape& shape, const ImageState& row, int bound, Actor self);

}  // namespace meridian::pg
