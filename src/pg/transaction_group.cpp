// When transactions may be one:
// - the next one is there already, so nothing waits for it;
// - it is small, so that those before it do not become visible much later;
// - no other transaction of this server is writing, but those of the other streams from the same peer. A group keeps
//   its rows locked until it ends. If it had to wait for somebody's row, whoever needs those rows would wait with it,
//   and two that wait for each other are a deadlock. Streams of one peer have no row in common;
// - nobody has asked to skip a transaction (ALTER SUBSCRIPTION ... SKIP), which names one by its commit.
//
// The worker compares the position in a Commit with that of its Begin, so the Commit of a group carries the position of
// the first transaction in it. Where the sender will go on after a restart follows from its end position, which stays.
//
// Memory: a Commit that is held is copied, because the buffer of a message lives until the next is asked for. What
// follows it is kept as it was received: nothing is asked for until it has been delivered.
#include "pg/transaction_group.hpp"

#include <cstring>

#include "core/logical_message.hpp"
#include "core/stream.hpp"
#include "core/transaction_group.hpp"
#include "pg/support/guard.hpp"

namespace meridian::pg {

int apply_group_size;

namespace {

constexpr int held_size = stream_header_size + static_cast<int>(commit_message_size);
/// Most bytes of WAL from the first row that the sender sent of a transaction to its commit.
constexpr std::uint64_t small_transaction = 65536;

struct Received {
  int size;
  char* buffer;
  pgsocket wait_fd;
};

// The other streams from this peer.
struct Siblings {
  bool known;
  int count;
  Oid subscriptions[max_streams];
};

TransactionGroup group;
Siblings siblings;
char held[held_size];
bool has_next = false;
Received next;

// Where the message was written, in the header.
std::uint64_t start_of(const char* message) {
  std::uint64_t start = 0;
  std::memcpy(&start, message + 1, sizeof start);
  return pg_ntoh64(start);
}

std::string_view logical_message(const Received& received) {
  if (received.size <= stream_header_size || *received.buffer != 'w') return {};
  return {received.buffer + stream_header_size, static_cast<std::size_t>(received.size - stream_header_size)};
}

// Found out once in a stream, by its first transaction: a node's streams are made together.
void find_siblings() {
  siblings.known = true;
  const auto own = parse_stream_name(MySubscription->name);
  if (!own || own->stream.count == 1) return;
  const Relation catalog = table_open(SubscriptionRelationId, AccessShareLock);
  const SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));) {
    const auto* const each = reinterpret_cast<Form_pg_subscription>(GETSTRUCT(tuple));
    if (each->subdbid != MyDatabaseId || each->oid == MySubscription->oid || siblings.count == max_streams) continue;
    const auto name = parse_stream_name(NameStr(each->subname));
    if (name && name->member == own->member) siblings.subscriptions[siblings.count++] = each->oid;
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
}

bool is_of_sibling(TransactionId transaction) {
  for (int i = 0; i < siblings.count; ++i) {
    LWLockAcquire(LogicalRepWorkerLock, LW_SHARED);
    const LogicalRepWorker* const worker = logicalrep_worker_find(siblings.subscriptions[i], InvalidOid, true);
    const bool is_its = worker != nullptr && worker->proc != nullptr && worker->proc->xid == transaction;
    LWLockRelease(LogicalRepWorkerLock);
    if (is_its) return true;
  }
  return false;
}

// A transaction of a sibling that ends between two looks is not found, and then there is no group, which is harmless.
bool nobody_else_writes() {
  if (!siblings.known) find_siblings();
  const Snapshot snapshot = GetTransactionSnapshot();
  if (snapshot->suboverflowed || snapshot->subxcnt > 0) return false;
  return snapshot->xcnt <= static_cast<uint32>(siblings.count) &&
         std::all_of(snapshot->xip, snapshot->xip + snapshot->xcnt, is_of_sibling);
}

bool can_hold() {
  return apply_group_size > 1 && IsTransactionState() && XLogRecPtrIsInvalid(MySubscription->skiplsn) &&
         nobody_else_writes();
}

bool is_small(const Received& received, const BeginMessage& begin) {
  const std::uint64_t start = start_of(received.buffer);
  return start <= begin.final_position && begin.final_position - start <= small_transaction;
}

// The worker expects every Commit where the Begin that it was given said.
void move_commit(char* message) {
  set_commit_position(std::span<char, commit_message_size>(message + stream_header_size, commit_message_size),
                      group.first_commit());
}

TransactionGroup::Step judge(const Received& received) {
  const std::string_view message = logical_message(received);
  if (const auto begin = decode_begin(message)) {
    return group.begin(begin->final_position, is_small(received, *begin), apply_group_size);
  }
  if (decode_commit(message)) {
    const auto step = group.commit(can_hold(), apply_group_size);
    if (step == TransactionGroup::Step::pass && group.size() > 1) move_commit(received.buffer);
    return step;
  }
  return group.other();
}

void hold(const Received& received) {
  std::memcpy(held, received.buffer, held_size);
  move_commit(held);
}

// What the worker does at the Begin that it does not see.
void join() { AcceptInvalidationMessages(); }

Received receive(walrcv_receive_fn base, WalReceiverConn* connection) {
  if (has_next) {
    has_next = false;
    return next;
  }
  Received received{};
  received.wait_fd = PGINVALID_SOCKET;
  received.size = base(connection, &received.buffer, &received.wait_fd);
  return received;
}

// The Commit that was held; what was received after it is next.
Received release(const Received& received) {
  next = received;
  has_next = true;
  return {held_size, held, PGINVALID_SOCKET};
}

Received receive_next(walrcv_receive_fn base, WalReceiverConn* connection) {
  for (;;) {
    const Received received = receive(base, connection);
    switch (judge(received)) {
      case TransactionGroup::Step::pass:
        return received;
      case TransactionGroup::Step::release:
        return release(received);
      case TransactionGroup::Step::hold:
        hold(received);
        break;
      case TransactionGroup::Step::join:
        join();
        break;
    }
  }
}

}  // namespace

void start_grouping() {
  group.start();
  siblings = {};
  has_next = false;
}

int receive_grouped(walrcv_receive_fn base, WalReceiverConn* connection, char** buffer, pgsocket* wait_fd) {
  const Received received = receive_next(base, connection);
  *buffer = received.buffer;
  *wait_fd = received.wait_fd;
  return received.size;
}

}  // namespace meridian::pg
