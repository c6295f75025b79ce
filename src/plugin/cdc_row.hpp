// Rows and keys of events.
#pragma once

#include "plugin/cdc_plan.hpp"

namespace meridian::pg {

/// Writes the row that a statement wrote. Values that it left unchanged out of line are taken from `old`, or a
/// placeholder stands for them. `old` may be null.
void write_new_row(cdc::Buffer& out, const Plan& plan, const cdc::Options& options, const Row& row, const Row* old);

/// Writes the row that was there before, as far as it is known.
void write_old_row(cdc::Buffer& out, const Plan& plan, const cdc::Options& options, const Row& row);

/// Writes the key of a row; as write_new_row() if values are missing. The table has a key.
void write_key(cdc::Buffer& out, const Plan& plan, const cdc::Options& options, const Row& row, const Row* old);

}  // namespace meridian::pg
