// SQL functions of type meridian.gset.
#include "core/gset.hpp"

#include "pg/types/values.hpp"

namespace meridian::pg {
namespace {

void keep_elements(StateView bytes) { type_scratch().texts = GrowSet::decode(bytes).elements(); }

void verify_gset(StateView bytes) {
  keep_elements(bytes);
  verify_scratch_texts();
}

StateView literal(const TextArray& array) {
  return changed<GrowSet>({}, [&](GrowSet& set) { set = GrowSet::literal({array.texts, array.texts + array.count}); });
}

bool contains(StateView bytes, std::string_view element) { return GrowSet::decode(bytes).contains(element); }

}  // namespace
}  // namespace meridian::pg

MERIDIAN_TYPE_FUNCTIONS(gset, meridian::GrowSet, verify_gset)

MERIDIAN_FUNCTION(meridian_gset_literal)
{
  using namespace meridian::pg;
  return state_datum(literal(text_array_argument(PG_GETARG_DATUM(0))));
}

MERIDIAN_FUNCTION(meridian_gset_elements)
{
  meridian::pg::keep_elements(meridian::pg::state_view(PG_GETARG_DATUM(0)));
  return meridian::pg::scratch_text_array();
}

MERIDIAN_FUNCTION(meridian_gset_add)
{
  using namespace meridian::pg;
  const std::string_view element = text_argument(PG_GETARG_DATUM(1));
  return state_datum(
      changed<meridian::GrowSet>(state_view(PG_GETARG_DATUM(0)), [&](meridian::GrowSet& set) { set.add(element); }));
}

MERIDIAN_FUNCTION(meridian_gset_contains)
{
  using namespace meridian::pg;
  PG_RETURN_BOOL(contains(state_view(PG_GETARG_DATUM(0)), text_argument(PG_GETARG_DATUM(1))));
}
