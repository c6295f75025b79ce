// What the files of the core lane share: state_ops.cpp has it, rights_ops.cpp uses it.
#pragma once

#include "core/row_state.hpp"
#include "pg/state_ops.hpp"

namespace meridian::pg {

/// The state of an image, made from its numbers and sets if it is NULL.
RowState read_state(const Shape& shape, const ImageState& image);
/// Its bytes, in the scratch area.
StateBytes put_state(const RowState& state);
/// NEW - OLD of the bounded columns that differ. Throws Error(not_additive) if one becomes NULL.
Contributions bounded_deltas(const Shape& shape, const LocalChange& change);

}  // namespace meridian::pg
