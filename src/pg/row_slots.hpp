// The slots of one application: the row that is here, and the row to write.
//
// A plan keeps a pair of them for the whole life of the backend, since making and dropping two slots per image costs as
// much as finding the row. Only the outermost application of a process uses a kept pair; one that is nested in it (a
// delete that is looked at again, a row that another displaces) makes its own. `in_use` is cleared with the
// transaction, so an error that leaves an application by the side door leaves slots that the next one clears before
// use. They never hold a buffer pin, which would belong to the transaction that failed.
#pragma once

#include "pg/row_values.hpp"

namespace meridian::pg {

struct Slots {
  TupleTableSlot* found;    ///< a copy of the row that is here
  TupleTableSlot* written;  ///< the row to write
  bool kept;                ///< the pair of the plan
};

Slots take_slots(Relation relation, RowPlan* plan);
void drop_slots(const Slots& slots);

/// A slot for find_row(), of a caller that needs no other.
TupleTableSlot* make_found_slot(Relation relation);

/// Shows the values as a row. They are not copied.
void store(TupleTableSlot* slot, const RowPlan* plan, const RowValues& row);

/// Registers the callback that frees kept slots for use. Called once, from _PG_init.
void register_slot_callbacks();

}  // namespace meridian::pg
