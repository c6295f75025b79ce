// Output plugin for change data capture: events as Debezium's connector for PostgreSQL writes them. docs/cdc.md
// describes them and the options; how a row becomes JSON is in src/core (cdc_*), how it is read in cdc_value, cdc_row
// and cdc_plan.
//
// Callbacks may be left by longjmp at any point. What has a destructor belongs to the Output (cdc_output.hpp), which
// the memory context of the decoding owns; frames here hold references and plain data only. What values allocate goes
// to a context that is reset after each change, so a transaction of any size needs the memory of its largest event.
#include "core/cdc_json.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"
#include "plugin/cdc_output.hpp"
#include "plugin/cdc_row.hpp"

MERIDIAN_MODULE_MAGIC("meridian_cdc")

extern "C" {
PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks* callbacks);
}

namespace meridian::pg {
namespace {

/// Tables whose deletes this process has already warned about; lives in TopMemoryContext.
List* warned_relations = NIL;

void warn_of_delete(Relation relation) {
  const Oid relid = RelationGetRelid(relation);
  if (list_member_oid(warned_relations, relid)) return;
  const MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
  warned_relations = lappend_oid(warned_relations, relid);
  MemoryContextSwitchTo(caller);
  ereport(WARNING,
          (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
           errmsg("deletes of table \"%s\" are not in the stream", RelationGetRelationName(relation)),
           errdetail("The table has no replica identity, so nothing says which row was deleted."),
           errhint("Add a primary key, or ALTER TABLE %s REPLICA IDENTITY FULL.", RelationGetRelationName(relation))));
}

Output& output_of(LogicalDecodingContext* context) { return *static_cast<Output*>(context->output_plugin_private); }

/// To send a sign of life while nothing of a large transaction leaves.
void leave_out(LogicalDecodingContext* context) {
  constexpr int changes_per_look = 100;
  static int left_out = 0;
  if (++left_out < changes_per_look) return;
  left_out = 0;
  OutputPluginUpdateProgress(context, false);
}

/// How a callback runs: guarded, and in memory that is given back when it ends.
template <typename F>
void run(LogicalDecodingContext* context, F f) {
  guarded([=] {
    Output& output = output_of(context);
    const MemoryContext caller = MemoryContextSwitchTo(output.scratch);
    f(output);
    MemoryContextSwitchTo(caller);
    MemoryContextReset(output.scratch);
  });
}

// --- transactions -------------------------------------------------------------------------------------------------

void begin(Output& output, ReorderBufferTXN* txn) {
  const cdc::Options& options = output.writer.options();
  output.commit_lsn = txn->final_lsn;
  output.index = 0;
  output.was_announced = false;
  output.was_cut = options.limit != 0 && output.sent >= options.limit;
  output.is_skipped = options.after && output.commit_lsn < options.after->commit_lsn;
  if (is_silent(output)) return;
  char* origin = nullptr;
  if (txn->origin_id != InvalidRepOriginId && txn->origin_id != DoNotReplicateId) {
    replorigin_by_oid(txn->origin_id, true, &origin);
  }
  cdc::Transaction transaction;
  transaction.xid = txn->xid;
  transaction.commit_lsn = output.commit_lsn;
  transaction.commit_us = us_since_1970(txn->xact_time.commit_time);
  if (origin != nullptr) transaction.origin = origin;
  transaction.origin_lsn = txn->origin_lsn;
  output.writer.begin_transaction(transaction);
}

void clear_event(Output& output) {
  output.key.clear();
  output.value.clear();
}

/// BEGIN, before the first event of a transaction.
void announce(LogicalDecodingContext* context, Output& output) {
  if (!output.writer.options().transaction_metadata || output.was_announced) return;
  output.was_announced = true;
  clear_event(output);
  output.writer.write_transaction_begin(output.key, output.value, now_us());
  send_event(context, output, output.commit_lsn, {output.writer.transaction_topic(), &output.key, true, nullptr});
}

void send_heartbeat_if_due(LogicalDecodingContext* context, Output& output) {
  const std::int64_t interval = output.writer.options().heartbeat_interval_ms;
  if (interval == 0) return;
  const std::int64_t now = now_us();
  if (now - output.heartbeat_us < interval * 1000) return;
  output.heartbeat_us = now;
  clear_event(output);
  output.writer.write_heartbeat(output.key, output.value, now);
  send_event(context, output, output.commit_lsn, {output.writer.heartbeat_topic(), &output.key, true, nullptr});
}

void commit(LogicalDecodingContext* context, Output& output, ReorderBufferTXN* txn) {
  const std::uint64_t sent = output.sent;
  if (!is_silent(output)) {
    if (output.was_announced) {
      clear_event(output);
      output.writer.write_transaction_end(output.key, output.value, now_us());
      send_event(context, output, output.commit_lsn, {output.writer.transaction_topic(), &output.key, true, nullptr});
    }
    send_heartbeat_if_due(context, output);
  }
  send_rest(context, output, output.was_cut ? 0 : txn->end_lsn);
  output.key.clear_large();
  output.other_key.clear_large();
  output.value.clear_large();
  output.held.clear_large();
  output.held_value.clear_large();
  output.message.clear_large();
  OutputPluginUpdateProgress(context, output.index == 0 && output.sent == sent);
}

// --- rows ---------------------------------------------------------------------------------------------------------

Row deform(Output& output, int which, Relation relation, HeapTuple tuple) {
  heap_deform_tuple(tuple, RelationGetDescr(relation), output.values[which], output.nulls[which]);
  return {output.values[which], output.nulls[which]};
}

/// One change, with what its events are made of.
struct Change {
  LogicalDecodingContext* context;
  Output& output;
  const Plan& plan;
  std::uint64_t lsn;
  const Row* new_row;
  const Row* old_row;
};

void write_wrapped_key(cdc::Buffer& out, const Change& change, const Row& row, const Row* other) {
  write_event_key(out, change.output, change.plan, row, other);
}

/// Makes the value of an event. `before` and `after` may be null.
void make_value(const Change& change, char op, const Row* before, const Row* after) {
  write_event_value(change.output, change.plan, {op, change.lsn, before, after, change.old_row});
}

void send(const Change& change, const cdc::Buffer* key, bool has_value, const cdc::Buffer* headers) {
  send_event(change.context, change.output, change.lsn, {change.plan.table->topic, key, has_value, headers});
}

/// The key of a row as it is sent, in `buffer`; null if the table has none or nobody needs it.
const cdc::Buffer* key_of(const Change& change, cdc::Buffer& buffer, const Row& row, const Row* other) {
  const bool is_needed = change.output.writer.options().format == cdc::Format::event;
  if (!is_needed || change.plan.table->key.empty()) return nullptr;
  write_wrapped_key(buffer, change, row, other);
  return &buffer;
}

void send_insert(const Change& change) {
  make_value(change, 'c', nullptr, change.new_row);
  send(change, key_of(change, change.output.key, *change.new_row, nullptr), true, nullptr);
}

/// An event and the tombstone of its key behind it.
void send_delete(const Change& change, const cdc::Buffer* key, const cdc::Buffer* headers) {
  make_value(change, 'd', change.old_row, nullptr);
  send(change, key, true, headers);
  if (change.output.writer.options().tombstones && key != nullptr) send(change, key, false, nullptr);
}

const cdc::Buffer* header_of(Output& output, const char* name, const cdc::Buffer& key) {
  output.headers.clear();
  output.headers.append("{\"");
  output.headers.append(name);
  output.headers.append("\":");
  output.headers.append(key.view());
  output.headers.append('}');
  return &output.headers;
}

/// Whether the update gave the row another key; then both keys are in `output.other_key` (old) and `output.key`.
bool changes_key(const Change& change) {
  if (change.old_row == nullptr || change.plan.table->key.empty()) return false;
  for (const int place : change.plan.table->key) {
    if (!change.plan.columns[place].is_in_identity) return false;
  }
  write_wrapped_key(change.output.other_key, change, *change.old_row, nullptr);
  write_wrapped_key(change.output.key, change, *change.new_row, change.old_row);
  return change.output.other_key.view() != change.output.key.view();
}

void send_update(const Change& change) {
  Output& output = change.output;
  const cdc::Operations& skipped = output.writer.options().skipped;
  if (!changes_key(change)) {
    if (skipped.has('u')) return;
    make_value(change, 'u', change.old_row, change.new_row);
    send(change, key_of(change, output.key, *change.new_row, change.old_row), true, nullptr);
    return;
  }
  if (!skipped.has('d')) {
    send_delete(change, &output.other_key, header_of(output, "__debezium.newkey", output.key));
  }
  if (!skipped.has('c')) {
    make_value(change, 'c', nullptr, change.new_row);
    send(change, &output.key, true, header_of(output, "__debezium.oldkey", output.other_key));
  }
}

/// Sends the events of a change of one row. Returns false if there were none.
bool send_row(LogicalDecodingContext* context, Output& output, const Plan& plan, Relation relation,
              ReorderBufferChange* change) {
  const cdc::Operations& skipped = output.writer.options().skipped;
  HeapTuple new_tuple = compat::heap_tuple_of(change->data.tp.newtuple);
  HeapTuple old_tuple = compat::heap_tuple_of(change->data.tp.oldtuple);
  Row rows[2]{};
  if (new_tuple != nullptr) rows[0] = deform(output, 0, relation, new_tuple);
  if (old_tuple != nullptr) rows[1] = deform(output, 1, relation, old_tuple);
  const Change event{context,
                     output,
                     plan,
                     change->lsn,
                     new_tuple == nullptr ? nullptr : &rows[0],
                     old_tuple == nullptr ? nullptr : &rows[1]};
  switch (change->action) {
    case REORDER_BUFFER_CHANGE_INSERT:
      if (event.new_row == nullptr || skipped.has('c')) return false;
      if (!passes_filter(plan, *event.new_row, false, nullptr)) return false;
      announce(context, output);
      send_insert(event);
      return true;
    case REORDER_BUFFER_CHANGE_UPDATE:
      if (event.new_row == nullptr || !passes_filter(plan, *event.new_row, false, event.old_row)) return false;
      announce(context, output);
      send_update(event);
      return true;
    case REORDER_BUFFER_CHANGE_DELETE:
      if (skipped.has('d')) return false;
      if (event.old_row == nullptr) {
        warn_of_delete(relation);
        return false;
      }
      if (!passes_filter(plan, *event.old_row, true, nullptr)) return false;
      announce(context, output);
      send_delete(event, key_of(event, output.key, *event.old_row, nullptr), nullptr);
      return true;
    default:
      return false;
  }
}

void change_row(LogicalDecodingContext* context, Output& output, Relation relation, ReorderBufferChange* change) {
  if (is_silent(output)) return leave_out(context);
  const Plan& plan = plan_of(output, relation);
  if (!plan.is_wanted || !send_row(context, output, plan, relation, change)) leave_out(context);
}

void truncate(LogicalDecodingContext* context, Output& output, int count, Relation* relations,
              ReorderBufferChange* change) {
  if (is_silent(output) || output.writer.options().skipped.has('t')) return;
  for (int i = 0; i < count; ++i) {
    const Plan& plan = plan_of(output, relations[i]);
    if (!plan.is_wanted) continue;
    announce(context, output);
    const Change event{context, output, plan, change->lsn, nullptr, nullptr};
    make_value(event, 't', nullptr, nullptr);
    send(event, nullptr, true, nullptr);
  }
}

// --- messages -----------------------------------------------------------------------------------------------------

struct Message {
  std::uint64_t lsn;
  const char* prefix;
  std::string_view content;
};

void make_message(Output& output, const Message& message, bool is_transactional) {
  clear_event(output);
  output.writer.write_message(output.key, output.value, message.prefix, message.content, message.lsn, is_transactional,
                              now_us());
}

/// It belongs to no transaction and stands for one by itself. Its LSN is behind it, where a commit may be; the byte
/// before that is nobody else's.
void send_lone_message(LogicalDecodingContext* context, Output& output, const Message& message) {
  const cdc::Options& options = output.writer.options();
  output.commit_lsn = message.lsn - 1;
  output.index = 0;
  output.was_cut = options.limit != 0 && output.sent >= options.limit;
  output.is_skipped = false;
  if (output.was_cut) return;
  cdc::Transaction alone;
  alone.commit_lsn = output.commit_lsn;
  alone.commit_us = now_us();
  output.writer.begin_transaction(alone);
  make_message(output, message, false);
  send_event(context, output, message.lsn, {output.writer.message_topic(), &output.key, true, nullptr});
  send_rest(context, output, message.lsn);
}

/// Where rows were read meanwhile: for who asked for it, and for nobody else.
void send_watermark(LogicalDecodingContext* context, Output& output, const Message& message) {
  const cdc::Options& options = output.writer.options();
  if (!options.wants_watermark(message.content)) return;
  output.commit_lsn = message.lsn - 1;
  output.index = 0;
  output.value.clear();
  output.value.append(message.content);
  send_event(context, output, message.lsn, {output.watermark_topic, nullptr, true, nullptr});
  send_rest(context, output, message.lsn);
}

void send_message(LogicalDecodingContext* context, Output& output, const Message& message, bool is_transactional) {
  if (message.prefix == cdc::watermark_prefix) return send_watermark(context, output, message);
  if (!output.writer.options().wants_message(message.prefix)) return;
  if (!is_transactional) return send_lone_message(context, output, message);
  if (is_silent(output)) return;
  announce(context, output);
  make_message(output, message, true);
  send_event(context, output, message.lsn, {output.writer.message_topic(), &output.key, true, nullptr});
}

}  // namespace
}  // namespace meridian::pg

extern "C" {

static void cdc_startup(LogicalDecodingContext* context, OutputPluginOptions* options, bool) {
  meridian::pg::guarded([=] {
    options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
    options->receive_rewrites = false;
    context->output_plugin_private = meridian::pg::start_output(context);
  });
}

/// DoNotReplicateId is an origin too: row copies carry it.
static bool cdc_filter_by_origin(LogicalDecodingContext* context, RepOriginId origin) {
  return origin != InvalidRepOriginId && meridian::pg::output_of(context).writer.options().local_only;
}

static void cdc_begin(LogicalDecodingContext* context, ReorderBufferTXN* txn) {
  meridian::pg::run(context, [=](meridian::pg::Output& output) { meridian::pg::begin(output, txn); });
}

static void cdc_change(LogicalDecodingContext* context, ReorderBufferTXN*, Relation relation,
                       ReorderBufferChange* change) {
  meridian::pg::run(context,
                    [=](meridian::pg::Output& output) { meridian::pg::change_row(context, output, relation, change); });
}

static void cdc_truncate(LogicalDecodingContext* context, ReorderBufferTXN*, int count, Relation relations[],
                         ReorderBufferChange* change) {
  meridian::pg::run(context, [=](meridian::pg::Output& output) {
    meridian::pg::truncate(context, output, count, relations, change);
  });
}

static void cdc_message(LogicalDecodingContext* context, ReorderBufferTXN*, XLogRecPtr lsn, bool transactional,
                        const char* prefix, Size size, const char* content) {
  meridian::pg::run(context, [=](meridian::pg::Output& output) {
    meridian::pg::send_message(context, output, {lsn, prefix, {content, size}}, transactional);
  });
}

static void cdc_commit(LogicalDecodingContext* context, ReorderBufferTXN* txn, XLogRecPtr) {
  meridian::pg::run(context, [=](meridian::pg::Output& output) { meridian::pg::commit(context, output, txn); });
}

/// Called by the server once per process that decodes with this plugin (logical.c, LoadOutputPlugin).
void _PG_output_plugin_init(OutputPluginCallbacks* callbacks) {
  callbacks->startup_cb = cdc_startup;
  callbacks->filter_by_origin_cb = cdc_filter_by_origin;
  callbacks->begin_cb = cdc_begin;
  callbacks->change_cb = cdc_change;
  callbacks->truncate_cb = cdc_truncate;
  callbacks->message_cb = cdc_message;
  callbacks->commit_cb = cdc_commit;
}

}  // extern "C"
