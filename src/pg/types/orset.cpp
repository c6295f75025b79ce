// SQL functions of type meridian.orset.
#include "core/orset.hpp"

#include "pg/identity.hpp"
#include "pg/types/values.hpp"

namespace meridian::pg {
namespace {

void keep_elements(StateView bytes) { type_scratch().texts = ObservedRemoveSet::decode(bytes).elements(); }

void verify_orset(StateView bytes) {
  keep_elements(bytes);
  verify_scratch_texts();
}

StateView literal(const TextArray& array) {
  return changed<ObservedRemoveSet>({}, [&](ObservedRemoveSet& set) {
    set = ObservedRemoveSet::literal({array.texts, array.texts + array.count});
  });
}

bool contains(StateView bytes, std::string_view element) { return ObservedRemoveSet::decode(bytes).contains(element); }

}  // namespace
}  // namespace meridian::pg

MERIDIAN_TYPE_FUNCTIONS(orset, meridian::ObservedRemoveSet, verify_orset)

/// Elements that nobody in particular added.
MERIDIAN_FUNCTION(meridian_orset_literal)
{
  using namespace meridian::pg;
  return state_datum(literal(text_array_argument(PG_GETARG_DATUM(0))));
}

MERIDIAN_FUNCTION(meridian_orset_elements)
{
  meridian::pg::keep_elements(meridian::pg::state_view(PG_GETARG_DATUM(0)));
  return meridian::pg::scratch_text_array();
}

MERIDIAN_FUNCTION(meridian_orset_add)
{
  using namespace meridian::pg;
  const meridian::Actor actor = local_actor();
  const std::string_view element = text_argument(PG_GETARG_DATUM(1));
  return state_datum(changed<meridian::ObservedRemoveSet>(
      state_view(PG_GETARG_DATUM(0)), [&](meridian::ObservedRemoveSet& set) { set.add(actor, element); }));
}

MERIDIAN_FUNCTION(meridian_orset_remove)
{
  using namespace meridian::pg;
  const std::string_view element = text_argument(PG_GETARG_DATUM(1));
  return state_datum(changed<meridian::ObservedRemoveSet>(
      state_view(PG_GETARG_DATUM(0)), [&](meridian::ObservedRemoveSet& set) { set.remove(element); }));
}

MERIDIAN_FUNCTION(meridian_orset_contains)
{
  using namespace meridian::pg;
  PG_RETURN_BOOL(contains(state_view(PG_GETARG_DATUM(0)), text_argument(PG_GETARG_DATUM(1))));
}
