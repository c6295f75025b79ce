#include "plugin/cdc_output.hpp"

#include "core/cdc_json.hpp"
#include "pg/support/guard.hpp"
#include "plugin/cdc_row.hpp"

namespace meridian::pg {
namespace {

/// The decoding of this process, if there is one: for the callbacks of the caches, which cannot be withdrawn.
Output* live = nullptr;

void forget_plan(Datum, Oid relation) {
  if (live == nullptr) return;
  if (!OidIsValid(relation)) {
    for (auto& entry : live->plans) entry.second.is_valid = false;
    return;
  }
  const auto found = live->plans.find(relation);
  if (found != live->plans.end()) found->second.is_valid = false;
}

/// A schema, a type or a cast came, went or has another name.
void forget_all_plans(Datum, int, uint32) { forget_plan(Datum{0}, InvalidOid); }

void listen_to_caches() {
  static bool listening = false;
  if (listening) return;
  CacheRegisterRelcacheCallback(forget_plan, Datum{0});
  CacheRegisterSyscacheCallback(NAMESPACEOID, forget_all_plans, Datum{0});
  CacheRegisterSyscacheCallback(TYPEOID, forget_all_plans, Datum{0});
  CacheRegisterSyscacheCallback(CASTSOURCETARGET, forget_all_plans, Datum{0});
  listening = true;
}

void delete_output(void* output) {
  if (live == output) live = nullptr;
  delete static_cast<Output*>(output);
}

/// Core lane. `names` and `texts` are arrays of `count`.
Output* new_output(const char* const* names, const char* const* texts, int count, const char* database) {
  cdc::Options options;
  for (int i = 0; i < count; ++i) cdc::set_option(options, names[i], texts[i]);
  cdc::check_options(options);
  options.database = database;
  options.version = MERIDIAN_VERSION;
  if (options.prefix.empty()) options.prefix = database;
  return new Output(std::move(options));
}

/// The name of the database, in the current memory context. A walsender is in no transaction when a plugin starts, and
/// the catalog cannot be read outside of one.
const char* database_name() {
  if (IsTransactionState()) return get_database_name(MyDatabaseId);
  const MemoryContext caller = CurrentMemoryContext;
  StartTransactionCommand();
  const MemoryContext transaction = MemoryContextSwitchTo(caller);
  const char* name = get_database_name(MyDatabaseId);
  MemoryContextSwitchTo(transaction);
  CommitTransactionCommand();
  MemoryContextSwitchTo(caller);
  return name;
}

void append(LogicalDecodingContext* context, std::string_view text) {
  appendBinaryStringInfo(context->out, text.data(), static_cast<int>(text.size()));
}

/// The text as it leaves. In the current memory context, if it had to be converted.
std::string_view leaving(const Output& output, std::string_view text) {
  if (!output.converts || text.empty()) return text;
  const char* converted = pg_server_to_any(text.data(), static_cast<int>(text.size()), PG_UTF8);
  return converted == text.data() ? text : std::string_view(converted);
}

/// Keeps an event until it is known whether it is the last of its transaction. Names of topics are ASCII.
void hold(Output& output, std::uint64_t lsn, const EventParts& parts) {
  cdc::Event& event = output.held_event;
  event.position = {output.commit_lsn, lsn, output.index};
  output.held.clear();
  output.held.append(parts.topic);
  if (parts.key != nullptr) output.held.append(leaving(output, parts.key->view()));
  const std::size_t key_end = output.held.size();
  if (parts.headers != nullptr) output.held.append(leaving(output, parts.headers->view()));
  const std::string_view all = output.held.view();
  event.topic = all.substr(0, parts.topic.size());
  event.key.reset();
  event.value.reset();
  event.headers.reset();
  if (parts.key != nullptr) event.key = all.substr(event.topic.size(), key_end - event.topic.size());
  if (parts.headers != nullptr) event.headers = all.substr(key_end);
  if (parts.has_value) {
    std::swap(output.value, output.held_value);
    event.value = output.held_value.view();
  }
  output.holds = true;
}

void flush(LogicalDecodingContext* context, Output& output) {
  if (output.message.size() == 0) return;
  OutputPluginPrepareWrite(context, true);
  append(context, output.message.view());
  OutputPluginWrite(context, true);
  output.message.clear();
}

void flush_if_full(LogicalDecodingContext* context, Output& output) {
  if (output.message.size() >= output.writer.options().message_bytes) flush(context, output);
}

/// Adds the event that waits to the message.
void release_held(Output& output, std::uint64_t end) {
  if (!output.holds) return;
  output.holds = false;
  cdc::Event& event = output.held_event;
  event.end_lsn = end;
  if (event.value) event.value = leaving(output, *event.value);
  cdc::write_event_header(output.message, event);
  output.message.append(event.topic);
  if (event.key) output.message.append(*event.key);
  if (event.value) output.message.append(*event.value);
  if (event.headers) output.message.append(*event.headers);
}

}  // namespace

Plan& plan_of(Output& output, Relation relation) {
  Plan& plan = output.plans[RelationGetRelid(relation)];
  if (plan.is_valid) return plan;
  make_plan(relation, output.writer.options(), output.plan_parent, output.headers, &plan);
  if (plan.column_count > output.row_capacity) {
    const MemoryContext caller = MemoryContextSwitchTo(output.plan_parent);
    const auto size = static_cast<std::size_t>(plan.column_count);
    for (int i = 0; i < 2; ++i) {
      output.values[i] = static_cast<Datum*>(palloc(sizeof(Datum) * size));
      output.nulls[i] = static_cast<bool*>(palloc(sizeof(bool) * size));
    }
    output.row_capacity = plan.column_count;
    MemoryContextSwitchTo(caller);
  }
  return plan;
}

void write_event_key(cdc::Buffer& out, const Output& output, const Plan& plan, const Row& row, const Row* other) {
  out.clear();
  out.append(plan.table->key_head);
  write_key(out, plan, output.writer.options(), row, other);
  out.append(plan.table->tail);
}

void write_event_value(Output& output, const Plan& plan, const RowEvent& event) {
  const cdc::Options& options = output.writer.options();
  cdc::Buffer& out = output.value;
  output.writer.count_event(*plan.table);
  out.clear();
  out.append(plan.table->value_head);
  if (options.envelope == cdc::Envelope::flat) {
    if (event.after != nullptr) {
      write_new_row(out, plan, options, *event.after, event.old_row);
    } else if (event.before != nullptr) {
      write_old_row(out, plan, options, *event.before);
    } else {
      out.append("{}");
    }
    cdc::EventWriter::end_flat(out, event.op);
    return;
  }
  out.append("{\"before\":");
  if (event.before != nullptr) {
    write_old_row(out, plan, options, *event.before);
  } else {
    out.append(cdc::json_null);
  }
  out.append(",\"after\":");
  if (event.after != nullptr) {
    write_new_row(out, plan, options, *event.after, event.old_row);
  } else {
    out.append(cdc::json_null);
  }
  output.writer.end_envelope(out, *plan.table, event.op, event.lsn, now_us());
}

void send_rest(LogicalDecodingContext* context, Output& output, std::uint64_t end) {
  release_held(output, end);
  flush(context, output);
}

void send_event(LogicalDecodingContext* context, Output& output, std::uint64_t lsn, const EventParts& parts) {
  const cdc::Options& options = output.writer.options();
  const cdc::Position position{output.commit_lsn, lsn, output.index};
  if (options.after && !position.is_after(*options.after)) {
    ++output.index;
    return;
  }
  if (options.limit != 0 && output.sent >= options.limit) {
    output.was_cut = true;
    send_rest(context, output, 0);
    return;
  }
  if (options.format == cdc::Format::event) {
    release_held(output, 0);
    flush_if_full(context, output);
    hold(output, lsn, parts);
  } else if (parts.has_value) {
    if (output.message.size() > 0) output.message.append('\n');
    output.message.append(leaving(output, output.value.view()));
    flush_if_full(context, output);
  }
  ++output.index;
  ++output.sent;
}

Output* make_output(MemoryContext owner, const char* const* names, const char* const* texts, int count) {
  const char* database = database_name();
  auto* callback = static_cast<MemoryContextCallback*>(MemoryContextAllocZero(owner, sizeof(MemoryContextCallback)));
  const MemoryContext plans = AllocSetContextCreate(owner, "meridian_cdc tables", ALLOCSET_DEFAULT_SIZES);
  const MemoryContext scratch = AllocSetContextCreate(owner, "meridian_cdc change", ALLOCSET_DEFAULT_SIZES);
  Output* output = guarded([=] { return new_output(names, texts, count, database == nullptr ? "" : database); });
  callback->func = delete_output;
  callback->arg = output;
  MemoryContextRegisterResetCallback(owner, callback);
  output->plan_parent = plans;
  output->scratch = scratch;
  return output;
}

Output* start_output(LogicalDecodingContext* context) {
  const int count = list_length(context->output_plugin_options);
  auto** names = static_cast<const char**>(palloc(sizeof(char*) * (count + 1)));
  auto** texts = static_cast<const char**>(palloc(sizeof(char*) * (count + 1)));
  for (int i = 0; i < count; ++i) {
    const auto* option = static_cast<const DefElem*>(list_nth(context->output_plugin_options, i));
    names[i] = option->defname;
    texts[i] = option->arg == nullptr ? "" : strVal(option->arg);
  }
  listen_to_caches();
  Output* output = make_output(context->context, names, texts, count);
  live = output;
  output->converts = am_walsender && GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII;
  return output;
}

}  // namespace meridian::pg
