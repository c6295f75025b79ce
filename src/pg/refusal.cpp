#include "pg/refusal.hpp"

#include "pg/stat_tables.hpp"

namespace meridian::pg {
namespace {

constexpr std::int64_t careful_for_us = std::int64_t{10} * 60 * USECS_PER_SEC;

const char* reason_of(int sqlstate) {
  switch (sqlstate) {
    case ERRCODE_UNIQUE_VIOLATION:
      return "unique";
    case ERRCODE_CHECK_VIOLATION:
    case ERRCODE_WITH_CHECK_OPTION_VIOLATION:
      return "check";
    case ERRCODE_NOT_NULL_VIOLATION:
      return "not_null";
    case ERRCODE_EXCLUSION_VIOLATION:
      return "exclusion";
    default:
      break;
  }
  const int category = ERRCODE_TO_CATEGORY(sqlstate);
  const bool raised = category == ERRCODE_TO_CATEGORY(ERRCODE_RAISE_EXCEPTION) ||
                      category == ERRCODE_TO_CATEGORY(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION) ||
                      category == ERRCODE_TO_CATEGORY(ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION);
  return raised ? "trigger" : "refused";
}

}  // namespace

bool is_refusal(int sqlstate) {
  switch (ERRCODE_TO_CATEGORY(sqlstate)) {
    case ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED):
    case ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION):
    case ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION):
    case ERRCODE_TO_CATEGORY(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION):
    case ERRCODE_TO_CATEGORY(ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION):
    case ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION):
    case ERRCODE_TO_CATEGORY(ERRCODE_WITH_CHECK_OPTION_VIOLATION):
    case ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED):
    case ERRCODE_TO_CATEGORY(ERRCODE_RAISE_EXCEPTION):
      return true;
    default:
      return false;
  }
}

bool is_misfit(int sqlstate) {
  return is_refusal(sqlstate) || sqlstate == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE ||
         sqlstate == ERRCODE_PROTOCOL_VIOLATION;
}

Refusal refusal_of(const ErrorData* error) {
  // Without the error's detail, which shows values of the row.
  const char* message = error->message != nullptr ? error->message : "unknown error";
  return {reason_of(error->sqlerrcode), error->sqlerrcode, pstrdup(message)};
}

Refusal refusal_or_rethrow(ErrorData* error) {
  if (!is_refusal(error->sqlerrcode)) ReThrowError(error);
  return refusal_of(error);
}

void become_careful(Oid relation) { set_careful_until(relation, GetCurrentTimestamp() + careful_for_us); }

bool is_careful(Oid relation) {
  const TimestampTz until = careful_until(relation);
  return until != 0 && until > GetCurrentTimestamp();
}

}  // namespace meridian::pg
