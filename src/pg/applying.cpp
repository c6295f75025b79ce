#include "pg/applying.hpp"

#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

bool apply_mode = false;

}  // namespace

bool applying() { return apply_mode || IsLogicalWorker(); }

Stream arriving_stream() {
  if (!IsLogicalWorker() || MySubscription == nullptr || MySubscription->slotname == nullptr) return {};
  const auto name = parse_stream_name(MySubscription->slotname);
  return name ? name->stream : Stream{};
}

void enter_apply_mode() {
  apply_mode = true;
  // WAL records with an origin are not local changes: the mesh plugin of every peer's slot leaves them out. The special
  // id has no progress to track.
  replorigin_session_origin = DoNotReplicateId;
}

void leave_apply_mode() {
  apply_mode = false;
  if (replorigin_session_origin == DoNotReplicateId) replorigin_session_origin = InvalidRepOriginId;
}

}  // namespace meridian::pg

MERIDIAN_FUNCTION(meridian_begin_apply)
{
  meridian::pg::enter_apply_mode();
  PG_RETURN_VOID();
}
