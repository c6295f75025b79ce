// The user's function of a rule `merge:<schema>.<function>`: found by name for a column's type, and called.
//
// It is f(local, incoming) or f(local, incoming, local_stamp bigint, incoming_stamp bigint) and returns the column's
// type. It may be polymorphic. NULL is the bottom of the lattice: the other value is taken, and the function is not
// asked.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

enum class MergeProblem { none, missing, wrong_result, not_immutable };

struct MergeFunction {
  Oid oid;
  Oid result;  ///< resolved type
  bool takes_stamps;
  MergeProblem problem;
};

/// Looks the function up for values of `type`. Neither search_path nor privileges of the current user matter. Of
/// several that fit, the one without type variables and with stamps is taken.
MergeFunction find_merge_function(const char* schema, const char* name, Oid type);

/// A function to be called often; lives in one memory context.
struct MergeCall {
  const char* name;  ///< for messages
  Oid type;
  bool takes_stamps;
  bool missing;  ///< no usable function now: a call raises
  FmgrInfo function;
};

MergeCall* prepare_merge_call(const char* schema, const char* name, Oid type, MemoryContext context);

/// The function's value for two values that are not NULL. Raises what the function raises, 42883 if it is gone, and
/// 22004 if it returns NULL.
Datum call_merge_function(MergeCall* call, Oid collation, Datum local, Datum incoming, std::int64_t local_stamp,
                          std::int64_t incoming_stamp);

}  // namespace meridian::pg
