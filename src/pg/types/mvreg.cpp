// SQL functions of type meridian.mvreg.
#include "core/mvreg.hpp"

#include "pg/identity.hpp"
#include "pg/types/values.hpp"

namespace meridian::pg {
namespace {

void keep_contents(StateView bytes) { type_scratch().texts = MultiValueRegister::decode(bytes).values(); }

void verify_mvreg(StateView bytes) {
  keep_contents(bytes);
  verify_scratch_texts();
}

}  // namespace
}  // namespace meridian::pg

MERIDIAN_TYPE_FUNCTIONS(mvreg, meridian::MultiValueRegister, verify_mvreg)

/// A value that nobody in particular wrote.
MERIDIAN_FUNCTION(meridian_mvreg_literal)
{
  using namespace meridian::pg;
  const std::string_view value = text_argument(PG_GETARG_DATUM(0));
  return state_datum(changed<meridian::MultiValueRegister>(
      {}, [&](meridian::MultiValueRegister& reg) { reg = meridian::MultiValueRegister::literal(value); }));
}

MERIDIAN_FUNCTION(meridian_mvreg_contents)
{
  meridian::pg::keep_contents(meridian::pg::state_view(PG_GETARG_DATUM(0)));
  return meridian::pg::scratch_text_array();
}

MERIDIAN_FUNCTION(meridian_mvreg_set)
{
  using namespace meridian::pg;
  const meridian::Actor actor = local_actor();
  const std::string_view value = text_argument(PG_GETARG_DATUM(1));
  return state_datum(changed<meridian::MultiValueRegister>(
      state_view(PG_GETARG_DATUM(0)), [&](meridian::MultiValueRegister& reg) { reg.write(actor, value); }));
}
