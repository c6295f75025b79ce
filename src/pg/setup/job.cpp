// The caller's side of a set-up function. Glue lane throughout.
//
// Memory: the worker's handle must outlive the query's memory contexts, because an aborting transaction frees those
// before it lets go of the segment; so it lives in TopTransactionContext.

#include "pg/setup/job.hpp"

#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"
#include "pg/support/worker.hpp"

namespace meridian::pg::setup {
namespace {

constexpr Size queue_size = 32 * 1024;

/// What the worker waits for now; shown as the context of an error, so of a cancelled call too.
struct Waiting {
  char* text;
};

void show_waiting(void* argument) {
  const char* text = static_cast<const Waiting*>(argument)->text;
  if (text != nullptr) errcontext("set-up worker, waiting for %s", text);
}

void stop_worker(dsm_segment*, Datum handle) {
  TerminateBackgroundWorker(reinterpret_cast<BackgroundWorkerHandle*>(DatumGetPointer(handle)));
}

void refuse_open_transaction() {
  if (!TransactionIdIsValid(GetTopTransactionIdIfAny())) return;
  ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                  errmsg("set-up functions cannot run in a transaction that has written"),
                  errdetail("Their work waits for the end of every open transaction, so for this one as well."),
                  errhint("Call the function by itself, outside BEGIN and COMMIT.")));
}

Size texts_size(const char* const* texts, int count) {
  Size size = 0;
  for (int i = 0; i < count; ++i) size = add_size(size, std::strlen(texts[i]) + 1);
  return size;
}

dsm_segment* write_request(Task task, Oid relation, const char* const* texts, int count) {
  const char* caller = GetUserNameFromId(GetUserId(), false);
  const Size used = sizeof(RequestHeader) + std::strlen(caller) + 1 + texts_size(texts, count);
  const Size queue_offset = MAXALIGN(used);
  dsm_segment* segment = dsm_create(queue_offset + queue_size, 0);
  char* base = static_cast<char*>(dsm_segment_address(segment));
  auto* header = reinterpret_cast<RequestHeader*>(base);
  *header = {task,        MyDatabaseId,        relation,  PgStartTime, GetSystemIdentifier(),
             LockTimeout, superuser() ? 1 : 0, count + 1, queue_offset};
  char* to = base + sizeof(RequestHeader);
  to = stpcpy(to, caller) + 1;
  for (int i = 0; i < count; ++i) to = stpcpy(to, texts[i]) + 1;
  shm_mq* queue = shm_mq_create(base + queue_offset, queue_size);
  shm_mq_set_receiver(queue, MyProc);
  return segment;
}

BackgroundWorkerHandle* start_worker(dsm_segment* segment) {
  BackgroundWorker worker = make_worker("meridian setup", "meridian_setup_main");
  worker.bgw_flags |= BGWORKER_BACKEND_DATABASE_CONNECTION;
  // One task runs on standbys, too; the others have been refused there.
  worker.bgw_start_time = BgWorkerStart_ConsistentState;
  worker.bgw_restart_time = BGW_NEVER_RESTART;
  worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment));
  worker.bgw_notify_pid = MyProcPid;
  const MemoryContext outer = MemoryContextSwitchTo(TopTransactionContext);
  BackgroundWorkerHandle* handle = nullptr;
  const bool registered = RegisterDynamicBackgroundWorker(&worker, &handle);
  MemoryContextSwitchTo(outer);
  if (!registered) {
    ereport(ERROR,
            (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED), errmsg("no background worker is free for the set-up"),
             errhint("Raise max_worker_processes and restart the server.")));
  }
  return handle;
}

/// The texts of a message, in order; what is missing is empty.
struct Fields {
  const char* text[4];
};

Fields read_fields(const char* data, Size size) {
  Fields fields = {{"", "", "", ""}};
  const char* end = data + size;
  const char* at = data + 1;
  for (const char*& field : fields.text) {
    if (at >= end) break;
    field = at;
    at += strnlen(at, static_cast<Size>(end - at)) + 1;
  }
  return fields;
}

/// `level` is ERROR or WARNING.
void raise_fields(int level, int sqlstate, const char* message, const char* detail, const char* hint) {
  ereport(level, (errcode(sqlstate), errmsg_internal("%s", message),
                  *detail == '\0' ? 0 : errdetail_internal("%s", detail), *hint == '\0' ? 0 : errhint("%s", hint)));
}

void show_news(Waiting* waiting, const char* text) {
  if (waiting->text != nullptr && std::strcmp(waiting->text, text) == 0) return;
  waiting->text = *text == '\0' ? nullptr : pstrdup(text);
  if (waiting->text == nullptr) return;
  // The context would say the same once more.
  ErrorContextCallback* context = error_context_stack;
  error_context_stack = context->previous;
  ereport(NOTICE, (errmsg("set-up waits for %s", text)));
  error_context_stack = context;
}

[[noreturn]] void report_lost_worker() {
  ereport(ERROR, (errcode(ERRCODE_OPERATOR_INTERVENTION), errmsg("the set-up worker ended before its work was done"),
                  errhint("The server log tells why. What was begun can be completed by repeating the call.")));
  pg_unreachable();
}

/// Returns the result or raises the error; either when the worker has ended, so that its connections, the one that
/// holds the mesh's lock among them, are closed.
char* receive_result(shm_mq_handle* queue, BackgroundWorkerHandle* worker, Waiting* waiting, const RowSink* sink) {
  static uint32 event = 0;
  if (event == 0) event = compat::wait_event("MeridianSetup");
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    Size size = 0;
    void* data = nullptr;
    const shm_mq_result received = shm_mq_receive(queue, &size, &data, true);
    if (received == SHM_MQ_DETACHED) report_lost_worker();
    if (received == SHM_MQ_WOULD_BLOCK) {
      WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, event);
      ResetLatch(MyLatch);
      continue;
    }
    const auto kind = static_cast<Message>(*static_cast<const char*>(data));
    const Fields fields = read_fields(static_cast<const char*>(data), size);
    switch (kind) {
      case Message::waiting:
        show_news(waiting, fields.text[0]);
        break;
      case Message::warning:
        raise_fields(WARNING, ERRCODE_WARNING, fields.text[0], fields.text[1], fields.text[2]);
        break;
      case Message::row:
        if (sink != nullptr) sink->put(sink->context, fields.text);
        break;
      case Message::error: {
        const char* code = fields.text[0];
        waiting->text = nullptr;
        WaitForBackgroundWorkerShutdown(worker);
        raise_fields(ERROR, MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]), fields.text[1], fields.text[2],
                     fields.text[3]);
        break;
      }
      case Message::result: {
        char* result = *fields.text[0] == '\0' ? nullptr : pstrdup(fields.text[0]);
        WaitForBackgroundWorkerShutdown(worker);
        return result;
      }
    }
  }
}

}  // namespace

char* run_task(Task task, Oid relation, const char* const* texts, int text_count, const RowSink* sink) {
  refuse_open_transaction();
  dsm_segment* segment = write_request(task, relation, texts, text_count);
  BackgroundWorkerHandle* worker = start_worker(segment);
  on_dsm_detach(segment, stop_worker, PointerGetDatum(worker));

  auto* header = static_cast<RequestHeader*>(dsm_segment_address(segment));
  auto* memory = reinterpret_cast<shm_mq*>(reinterpret_cast<char*>(header) + header->queue_offset);
  shm_mq_handle* queue = shm_mq_attach(memory, segment, worker);

  Waiting waiting = {nullptr};
  ErrorContextCallback context = {error_context_stack, show_waiting, &waiting};
  error_context_stack = &context;
  char* result = receive_result(queue, worker, &waiting, sink);
  error_context_stack = context.previous;

  dsm_detach(segment);
  return result;
}

}  // namespace meridian::pg::setup
