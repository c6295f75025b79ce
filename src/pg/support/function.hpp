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
