// SQL functions of type meridian.counter.
#include "core/counter.hpp"

#include "pg/identity.hpp"
#include "pg/types/values.hpp"

namespace meridian::pg {
namespace {

// Nothing to check but the form.
void verify_counter(StateView bytes) { (void)Counter::decode(bytes); }

std::optional<std::int64_t> small_value(StateView bytes) { return Counter::decode(bytes).small_value(); }

void keep_value(StateView bytes) {
  keep_text<Counter>(bytes, [](const Counter& counter) { return to_text(counter.value()); });
}

Datum add(Datum before, std::int64_t amount, bool negative) {
  const Actor actor = local_actor();
  const Int128 delta = negative ? -static_cast<Int128>(amount) : static_cast<Int128>(amount);
  return state_datum(changed<Counter>(state_view(before), [&](Counter& counter) { counter.add(actor, delta); }));
}

}  // namespace
}  // namespace meridian::pg

MERIDIAN_TYPE_FUNCTIONS(counter, meridian::Counter, verify_counter)

/// A value that nobody in particular contributed.
MERIDIAN_FUNCTION(meridian_counter_literal)
{
  using namespace meridian::pg;
  return state_datum(keep(meridian::Counter::literal(PG_GETARG_INT64(0))));
}

MERIDIAN_FUNCTION(meridian_counter_literal_integer)
{
  using namespace meridian::pg;
  return state_datum(keep(meridian::Counter::literal(PG_GETARG_INT32(0))));
}

MERIDIAN_FUNCTION(meridian_counter_value)
{
  const std::optional<std::int64_t> value = meridian::pg::small_value(meridian::pg::state_view(PG_GETARG_DATUM(0)));
  if (!value) {
    ereport(ERROR,
            (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("value of the counter is out of range for bigint"),
             errhint("Concurrent additions made it so; cast it to numeric.")));
  }
  PG_RETURN_INT64(*value);
}

MERIDIAN_FUNCTION(meridian_counter_numeric)
{
  meridian::pg::keep_value(meridian::pg::state_view(PG_GETARG_DATUM(0)));
  return meridian::pg::scratch_numeric();
}

MERIDIAN_FUNCTION(meridian_counter_add)
{ return meridian::pg::add(PG_GETARG_DATUM(0), PG_GETARG_INT64(1), false); }

MERIDIAN_FUNCTION(meridian_counter_subtract)
{ return meridian::pg::add(PG_GETARG_DATUM(0), PG_GETARG_INT64(1), true); }

MERIDIAN_FUNCTION(meridian_counter_reset)
{
  using namespace meridian::pg;
  return state_datum(
      changed<meridian::Counter>(state_view(PG_GETARG_DATUM(0)), [](meridian::Counter& counter) { counter.reset(); }));
}

MERIDIAN_FUNCTION(meridian_counter_set)
{
  using namespace meridian::pg;
  const meridian::Actor actor = local_actor();
  const std::int64_t value = PG_GETARG_INT64(1);
  return state_datum(changed<meridian::Counter>(state_view(PG_GETARG_DATUM(0)),
                                                [&](meridian::Counter& counter) { counter.set(actor, value); }));
}

/// Step of the aggregate sum(counter): numeric, NULL at first.
MERIDIAN_FUNCTION(meridian_counter_sum_step)
{
  if (PG_ARGISNULL(1)) {
    if (PG_ARGISNULL(0)) PG_RETURN_NULL();
    return PG_GETARG_DATUM(0);
  }
  meridian::pg::keep_value(meridian::pg::state_view(PG_GETARG_DATUM(1)));
  const Datum value = meridian::pg::scratch_numeric();
  return PG_ARGISNULL(0) ? value : DirectFunctionCall2(numeric_add, PG_GETARG_DATUM(0), value);
}
