// How an SQL-callable C++ function is written:
//
//   MERIDIAN_FUNCTION(meridian_hlc_now) {
//     const int64 stamp = ...;      // glue lane: trivially destructible locals only, see guard.hpp
//     PG_RETURN_INT64(stamp);
//   }
//
// The macro exports the C symbol `meridian_hlc_now` and its pg_finfo record and runs the body under guarded(). The body
// sees `fcinfo`, so PG_GETARG_*, PG_RETURN_* and CALLED_AS_TRIGGER work as in C. Names carry the prefix meridian_,
// because PostgreSQL loads libraries into one global symbol space.
#pragma once

#include <string_view>

#include "pg/support/guard.hpp"

#define MERIDIAN_FUNCTION(name)                                               \
  extern "C" {                                                                \
  PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                   \
  PG_FUNCTION_INFO_V1(name);                                                  \
  }                                                                           \
  static Datum name##_body(FunctionCallInfo fcinfo);                          \
  extern "C" Datum name(PG_FUNCTION_ARGS) {                                   \
    return ::meridian::pg::guarded([fcinfo] { return name##_body(fcinfo); }); \
  }                                                                           \
  static Datum name##_body([[maybe_unused]] FunctionCallInfo fcinfo)

namespace meridian::pg {

/// The bytes of a text argument, valid as long as the argument.
inline std::string_view text_view(const text* value) {
  return {VARDATA_ANY(value), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(value))};
}

/// The row type that the function returns, ready for heap_form_tuple().
inline TupleDesc result_row_type(FunctionCallInfo fcinfo) {
  TupleDesc row_type = nullptr;
  if (get_call_result_type(fcinfo, nullptr, &row_type) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  return BlessTupleDesc(row_type);
}

/// The same, looked up once per query: for functions that are called for every row. Takes fn_extra.
inline TupleDesc cached_row_type(FunctionCallInfo fcinfo) {
  if (fcinfo->flinfo->fn_extra == nullptr) {
    const MemoryContext caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
    fcinfo->flinfo->fn_extra = CreateTupleDescCopy(result_row_type(fcinfo));
    MemoryContextSwitchTo(caller);
  }
  return static_cast<TupleDesc>(fcinfo->flinfo->fn_extra);
}

}  // namespace meridian::pg
