// meridian.conflict_sentence(): the text of meridian.explain_conflict(), from the columns of an entry.
#include "core/conflict_text.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

// Backend-lifetime buffer of the last text.
std::string* sentence = nullptr;

const char* explain(const ConflictFacts& facts) {
  if (sentence == nullptr) sentence = new std::string;
  *sentence = explain_conflict(facts);
  return sentence->c_str();
}

std::string_view text_argument(FunctionCallInfo fcinfo, int number) {
  if (PG_ARGISNULL(number)) return {};
  return text_view(PG_GETARG_TEXT_PP(number));
}

}  // namespace
}  // namespace meridian::pg

MERIDIAN_FUNCTION(meridian_conflict_sentence)
{
  using meridian::pg::text_argument;
  const meridian::ConflictFacts facts = {text_argument(fcinfo, 0),
                                         text_argument(fcinfo, 1),
                                         text_argument(fcinfo, 2),
                                         text_argument(fcinfo, 3),
                                         text_argument(fcinfo, 4),
                                         {text_argument(fcinfo, 5), text_argument(fcinfo, 6)},
                                         {text_argument(fcinfo, 7), text_argument(fcinfo, 8)}};
  PG_RETURN_TEXT_P(cstring_to_text(meridian::pg::explain(facts)));
}
