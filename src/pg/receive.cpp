// State of one worker process: which stream it reads, where in it it is, and which row PostgreSQL has in hand.
// Everything is reset when a stream begins.
//
// Transactions: between Begin and Commit of the sender the worker opens its transaction with the first change, and
// commits it with the sender's Commit, whoever opened it. So a row that is kept here may open it. A comparison with the
// catalog outside of it runs in a transaction of its own, which writes nothing.
#include "pg/receive.hpp"

#include <cctype>
#include <cstring>

#include "core/stream.hpp"
#include "pg/heartbeat.hpp"
#include "pg/misfit.hpp"
#include "pg/refusal.hpp"
#include "pg/remote_table.hpp"
#include "pg/support/guard.hpp"
#include "pg/transaction_group.hpp"

namespace meridian::pg {
namespace {

// The library's own functions, and its table with ours in it.
walrcv_identify_system_fn base_identify_system = nullptr;
walrcv_startstreaming_fn base_startstreaming = nullptr;
walrcv_receive_fn base_receive = nullptr;
WalReceiverFunctionsType wrapped;

constexpr char ignored_message = 'M';  // a generic logical message, of which an apply worker takes no notice

struct Receiving {
  bool is_ours;
  bool in_transaction;  ///< between Begin and Commit
  bool is_skipped;      ///< ALTER SUBSCRIPTION ... SKIP is about this transaction
  Oid in_hand;          ///< the table whose row PostgreSQL is applying
  int last_error;       ///< SQLSTATE of the last error that was raised
};
Receiving stream;

/// What the sender said of itself, before the stream began; 0 if it was not asked.
std::uint64_t sender_system = 0;
TimeLineID sender_timeline = 0;

bool is_mesh_stream(const WalRcvStreamOptions* options) {
  constexpr char prefix[] = "meridian_";
  if (!options->logical || MyLogicalRepWorker == nullptr || OidIsValid(MyLogicalRepWorker->relid)) return false;
  if (MySubscription == nullptr || std::strncmp(MySubscription->name, prefix, sizeof(prefix) - 1) != 0) return false;
  return std::isdigit(static_cast<unsigned char>(MySubscription->name[sizeof(prefix) - 1])) != 0;
}

void begin_transaction(const BeginMessage& message) {
  stream.in_transaction = true;
  // The worker hears of changed tables with its first row, and that would be too late to compare them.
  AcceptInvalidationMessages();
  stream.is_skipped =
      !XLogRecPtrIsInvalid(MySubscription->skiplsn) && MySubscription->skiplsn == message.final_position;
}

void compare(RemoteTable* table) {
  const MemoryContext caller = CurrentMemoryContext;
  const bool own = !IsTransactionState();
  if (own) StartTransactionCommand();
  compare_with_local(table);
  if (own) CommitTransactionCommand();
  MemoryContextSwitchTo(caller);
}

// As the worker's own begin_replication_step() and end_replication_step().
bool keep_row(RemoteTable* table, const InsertMessage& row) {
  const MemoryContext caller = CurrentMemoryContext;
  SetCurrentStatementStartTimestamp();
  if (!IsTransactionState()) StartTransactionCommand();
  PushActiveSnapshot(GetTransactionSnapshot());
  const bool kept = bring_or_park(table, row);
  PopActiveSnapshot();
  CommandCounterIncrement();
  MemoryContextSwitchTo(caller);
  return kept;
}

// True if the row was kept.
bool receive_row(std::string_view message) {
  RemoteTable* table = find_remote_table(relation_of_insert(message));
  if (table == nullptr || !stream.in_transaction || stream.is_skipped) return false;
  if (!is_compared(table)) compare(table);
  if (table->fits) {
    stream.in_hand = table->local;
    if (!table->is_ours || !is_careful(table->local)) return false;
  }
  const auto row = decode_insert(message);
  if (!row || row->column_count != table->column_count) return false;
  return keep_row(table, *row);
}

// True if the message is for us alone.
bool receive_message(std::string_view message) {
  switch (message_kind(message)) {
    case 'I':
      return receive_row(message);
    case 'B':
      if (const auto begin = decode_begin(message)) begin_transaction(*begin);
      return false;
    case 'R':
      if (const auto relation = decode_relation(message)) remember_relation(*relation);
      return false;
    case 'Y':
      if (const auto type = decode_type(message)) remember_type(*type);
      return false;
    case 'C':
    case 'S':  // a part of a transaction that is not complete: the mesh does not stream such
    case 'b':  // a transaction that will be prepared: nor those
      stream.in_transaction = false;
      return false;
    default:
      return false;
  }
}

// How a failing worker tells which error it was: this callback sees every error that is raised, caught or not.
void note_error(void*) {
  const int category = ERRCODE_TO_CATEGORY(geterrcode());
  if (category != ERRCODE_TO_CATEGORY(ERRCODE_SUCCESSFUL_COMPLETION) &&
      category != ERRCODE_TO_CATEGORY(ERRCODE_WARNING))
    stream.last_error = geterrcode();
}

ErrorContextCallback error_callback;

void note_exit(int code, Datum) {
  if (code != 0 && stream.is_ours && OidIsValid(stream.in_hand) && is_misfit(stream.last_error))
    become_careful(stream.in_hand);
}

// Who sends may have been promoted since this worker's last stream.
void look_at_sender() {
  const auto from = parse_stream_name(MySubscription->name);
  if (!from || sender_timeline == 0) return;
  const MemoryContext caller = CurrentMemoryContext;
  const bool own = !IsTransactionState();
  SetCurrentStatementStartTimestamp();
  if (own) StartTransactionCommand();
  PushActiveSnapshot(GetTransactionSnapshot());
  begin_reading(*from, sender_system, sender_timeline);
  PopActiveSnapshot();
  if (own) CommitTransactionCommand();
  MemoryContextSwitchTo(caller);
}

void begin_stream(const WalRcvStreamOptions* options) {
  static bool watching = false;
  stream = {};
  stream.is_ours = is_mesh_stream(options);
  if (!stream.is_ours) return;
  start_grouping();
  forget_remote_tables();
  look_at_sender();
  if (watching) return;
  watching = true;
  // Below the worker's own, which it installs for the stream.
  error_callback.callback = note_error;
  error_callback.previous = error_context_stack;
  error_context_stack = &error_callback;
  before_shmem_exit(note_exit, 0);
}

extern "C" char* meridian_identify_system(WalReceiverConn* connection, TimeLineID* timeline) {
  char* const system = base_identify_system(connection, timeline);
  sender_system = std::strtoull(system, nullptr, 10);
  sender_timeline = *timeline;
  return system;
}

extern "C" bool meridian_startstreaming(WalReceiverConn* connection, const WalRcvStreamOptions* options) {
  guarded([options] { begin_stream(options); });
  return base_startstreaming(connection, options);
}

extern "C" int meridian_receive(WalReceiverConn* connection, char** buffer, pgsocket* wait_fd) {
  stream.in_hand = InvalidOid;
  if (!stream.is_ours) return base_receive(connection, buffer, wait_fd);
  const int size = guarded([=] { return receive_grouped(base_receive, connection, buffer, wait_fd); });
  if (size <= stream_header_size || **buffer != 'w') return size;
  char* const message = *buffer + stream_header_size;
  const std::string_view bytes(message, static_cast<std::size_t>(size - stream_header_size));
  if (!guarded([bytes] { return receive_message(bytes); })) return size;
  *message = ignored_message;
  return stream_header_size + 1;
}

}  // namespace

void watch_receiving() {
  load_file("libpqwalreceiver", false);
  wrapped = *WalReceiverFunctions;
  base_identify_system = wrapped.walrcv_identify_system;
  base_startstreaming = wrapped.walrcv_startstreaming;
  base_receive = wrapped.walrcv_receive;
  wrapped.walrcv_identify_system = meridian_identify_system;
  wrapped.walrcv_startstreaming = meridian_startstreaming;
  wrapped.walrcv_receive = meridian_receive;
  WalReceiverFunctions = &wrapped;
}

}  // namespace meridian::pg
