// The set-up worker's process: takes its request out of the segment, runs the task in the core lane, sends what came of
// it.

#include "pg/setup/tasks.hpp"
#include "pg/support/guard.hpp"

namespace meridian::pg::setup {
namespace {

using Run = std::string (*)(Session&);

Run runner(Task task) {
  switch (task) {
    case Task::create_node:
      return create_node;
    case Task::join:
      return join;
    case Task::leave:
      return leave;
    case Task::drop_node:
      return drop_node;
    case Task::replicate:
      return replicate;
    case Task::unreplicate:
      return unreplicate;
    case Task::compare:
      return compare;
    case Task::repair:
      return repair;
    case Task::resend:
      return resend;
    case Task::heal:
      return heal;
    case Task::change_registry:
      return change_registry;
    case Task::rehome:
      return rehome;
  }
  throw SetupError("XX000", "unknown set-up task");
}

constexpr std::int64_t postgres_epoch_us =
    static_cast<std::int64_t>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * USECS_PER_SEC;

Request decode(const RequestHeader& header) {
  Request request;
  request.task = header.task;
  request.database = header.database;
  request.relation = header.relation;
  request.server_start_us = header.server_start + postgres_epoch_us;
  request.system_id = std::to_string(header.system_id);
  request.lock_timeout_ms = header.lock_timeout_ms;
  request.caller_is_superuser = header.caller_is_superuser != 0;
  const char* text = reinterpret_cast<const char*>(&header + 1);
  for (int i = 0; i < header.text_count; ++i) {
    if (i == 0) {
      request.caller = text;
    } else {
      request.arguments.emplace_back(text);
    }
    text += std::strlen(text) + 1;
  }
  return request;
}

/// Core lane. A PgError is not handled here: it ends the process, and the caller learns that from the queue.
void run_request(const RequestHeader& header, shm_mq_handle* queue) {
  Session session(decode(header), queue);
  std::string result;
  std::optional<SetupError> failure;
  try {
    result = runner(header.task)(session);
  } catch (const SetupError& error) {
    failure = error;
  } catch (const std::bad_alloc&) {
    failure.emplace("53200", "out of memory");
  } catch (const std::exception& error) {
    failure.emplace("XX000", std::string("unexpected in the set-up worker: ") + error.what());
  }
  const Shield shield(session, milliseconds(1000));
  if (failure) {
    session.fail(*failure);
  } else {
    session.finish(result);
  }
}

void run_worker(Datum handle) {
  pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  BackgroundWorkerUnblockSignals();

  // The worker is in no transaction, so the segment belongs to the process.
  dsm_segment* segment = dsm_attach(DatumGetUInt32(handle));
  if (segment == nullptr) return;
  dsm_pin_mapping(segment);
  const auto* header = static_cast<const RequestHeader*>(dsm_segment_address(segment));
  auto* memory = reinterpret_cast<shm_mq*>(static_cast<char*>(dsm_segment_address(segment)) + header->queue_offset);
  shm_mq_set_sender(memory, MyProc);
  shm_mq_handle* queue = shm_mq_attach(memory, segment, nullptr);

  // Shows the worker with its database in pg_stat_activity; its work goes over connections of its own.
  BackgroundWorkerInitializeConnectionByOid(header->database, InvalidOid, 0);
  pgstat_report_activity(STATE_RUNNING, "set-up of the mesh");
  run_request(*header, queue);
}

}  // namespace
}  // namespace meridian::pg::setup

void meridian_setup_main(Datum handle) {
  meridian::pg::guarded([handle] { meridian::pg::setup::run_worker(handle); });
}
