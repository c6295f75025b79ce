// What this process knows of the tables that it decodes: which columns events show, how each is read, what the key is.
//
// A plan is made from the catalog as it was when the change was written, used until the catalog changes, and made anew
// at the next change. It owns one object of the core (`table`); the rest lives in its memory context.
#pragma once

#include "core/cdc_table.hpp"
#include "plugin/cdc_value.hpp"

namespace meridian::pg {

/// One condition of a row filter, ready to be compared.
struct PlannedCondition {
  int column;
  cdc::Condition::Operator op;
  FmgrInfo compare;
  Oid collation;
  Datum literal;
};

struct PlannedColumn {
  ValueReader reader;
  Oid type;
  bool is_in_identity;  ///< old tuples have it
};

struct Plan {
  bool is_valid = false;
  bool is_wanted = false;
  bool has_old_rows = false;  ///< REPLICA IDENTITY FULL
  int column_count = 0;
  int condition_count = 0;
  PlannedColumn* columns = nullptr;  ///< by place
  PlannedCondition* conditions = nullptr;
  MemoryContext context = nullptr;
  std::unique_ptr<cdc::Table> table;
};

/// Fills `plan` for the table. The plan's memory is below `parent`; `scratch` is overwritten.
void make_plan(Relation relation, const cdc::Options& options, MemoryContext parent, cdc::Buffer& scratch, Plan* plan);

/// A row: arrays by place, both of at least Plan::column_count.
struct Row {
  const Datum* values;
  const bool* nulls;
};

/// Whether the row passes the table's filters. `is_old`: columns outside the identity are not known, and pass. `other`:
/// where to look for values that the row lacks, or null.
bool passes_filter(const Plan& plan, const Row& row, bool is_old, const Row* other);

}  // namespace meridian::pg
