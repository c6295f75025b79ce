// SQL functions of type meridian.flag.
#include "core/flag.hpp"

#include "pg/identity.hpp"
#include "pg/types/values.hpp"

namespace meridian::pg {
namespace {

// Nothing to check but the form.
void verify_flag(StateView bytes) { (void)Flag::decode(bytes); }

bool is_on(StateView bytes) { return Flag::decode(bytes).value(); }

Datum set(Datum before, bool value) {
  const Actor actor = local_actor();
  return state_datum(changed<Flag>(state_view(before), [&](Flag& flag) { flag.set(actor, value); }));
}

}  // namespace
}  // namespace meridian::pg

MERIDIAN_TYPE_FUNCTIONS(flag, meridian::Flag, verify_flag)

/// Flags that nobody in particular has set, of either policy.
MERIDIAN_FUNCTION(meridian_flag_ew)
{
  using namespace meridian::pg;
  return state_datum(keep(meridian::Flag::literal(meridian::Flag::Policy::enable_wins, PG_GETARG_BOOL(0))));
}

MERIDIAN_FUNCTION(meridian_flag_dw)
{
  using namespace meridian::pg;
  return state_datum(keep(meridian::Flag::literal(meridian::Flag::Policy::disable_wins, PG_GETARG_BOOL(0))));
}

MERIDIAN_FUNCTION(meridian_flag_is_on)
{ PG_RETURN_BOOL(meridian::pg::is_on(meridian::pg::state_view(PG_GETARG_DATUM(0)))); }

MERIDIAN_FUNCTION(meridian_flag_enable)
{ return meridian::pg::set(PG_GETARG_DATUM(0), true); }

MERIDIAN_FUNCTION(meridian_flag_disable)
{ return meridian::pg::set(PG_GETARG_DATUM(0), false); }

MERIDIAN_FUNCTION(meridian_flag_set)
{ return meridian::pg::set(PG_GETARG_DATUM(0), PG_GETARG_BOOL(1)); }
