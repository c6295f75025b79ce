// What the benchmarks of local writes compare with, and the mark by which callgrind tells one measurement from the
// next.
#include "pg/support/function.hpp"

extern "C" {
PG_MODULE_MAGIC;
}

/// Trigger, BEFORE UPDATE FOR EACH ROW: returns NEW.
MERIDIAN_FUNCTION(meridian_bench_empty_trigger)
{ PG_RETURN_POINTER(reinterpret_cast<TriggerData*>(fcinfo->context)->tg_newtuple); }

/// mark() returns void
MERIDIAN_FUNCTION(meridian_bench_mark)
{ PG_RETURN_VOID(); }

/// Trigger, BEFORE INSERT FOR EACH ROW: lets the row in.
MERIDIAN_FUNCTION(meridian_bench_mark_trigger)
{ PG_RETURN_POINTER(reinterpret_cast<TriggerData*>(fcinfo->context)->tg_trigtuple); }

/// empty_text(text) returns text: its argument.
MERIDIAN_FUNCTION(meridian_bench_empty_text)
{ PG_RETURN_DATUM(PG_GETARG_DATUM(0)); }

/// empty_row(text) returns (node text, dsn text, region text, reason text): NULL.
MERIDIAN_FUNCTION(meridian_bench_empty_row)
{ PG_RETURN_NULL(); }

/// empty_route(session text, token text, max_lag interval, region text) returns (node text, dsn text, role text, reason
/// text)
MERIDIAN_FUNCTION(meridian_bench_empty_route)
{
  Datum values[] = {CStringGetTextDatum("node"), CStringGetTextDatum("host=node port=5432 dbname=postgres"),
                    CStringGetTextDatum("standby"), CStringGetTextDatum("a replica in the region")};
  bool nulls[4] = {};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(meridian::pg::cached_row_type(fcinfo), values, nulls)));
}
