// Where the wait for meridian.read_after happens.
//
// A changed value is *pending* until it has been waited for. Places, best first:
// - SET at top level, after the value is set: utility statements of this kind have no snapshot, and outside a block no
//   lock;
// - BEGIN: before the transaction has a snapshot, so REPEATABLE READ works;
// - other statements in a READ COMMITTED transaction: the statement's snapshot is dropped, and a new one taken after
// the
//   wait. It holds the locks of its tables by then; if replay has to wait for them, the wait gives up.
//
// No snapshot may be held during a wait: it would hold back the horizon that vacuum's WAL records conflict with, and
// replay would wait for the very session that waits for replay. A transaction whose snapshot is fixed (REPEATABLE READ)
// cannot wait any more: that is an error.
#include "pg/read_after.hpp"

#include "pg/errors.hpp"
#include "pg/support/guard.hpp"
#include "pg/token.hpp"
#include "pg/wait.hpp"

namespace meridian::pg {

char* read_after;
int read_after_timeout_ms;
int read_after_action;

namespace {

bool pending = false;

ProcessUtility_hook_type next_process_utility = nullptr;
ExecutorStart_hook_type next_executor_start = nullptr;

bool may_proceed() { return read_after_action == static_cast<int>(ReadAfterAction::proceed); }

[[noreturn]] void report_not_here(const WaitOutcome& outcome) {
  ereport(ERROR, (errcode(errcode_write_not_here), errmsg("the writes that meridian.read_after names have not arrived"),
                  outcome.delays_replay ? errdetail("Replay waits for a lock that this transaction holds.")
                                        : errdetail("They did not arrive within meridian.read_after_timeout, %d ms.",
                                                    read_after_timeout_ms),
                  outcome.delays_replay
                      ? errhint("Set meridian.read_after before the transaction uses a table, and try again.")
                      : errhint("Try again, or read from the primary.")));
  pg_unreachable();
}

[[noreturn]] void report_lost() {
  ereport(ERROR,
          (errcode(errcode_write_lost), errmsg("writes that meridian.read_after names were lost in a failover"),
           errhint("No server has them. Write again what is missing, and go on with SET meridian.read_after = ''.")));
  pg_unreachable();
}

[[noreturn]] void report_unusable(Verdict verdict) {
  const char* const why =
      verdict == Verdict::foreign ? "It names a server system that this one knows nothing of."
      : verdict == Verdict::future
          ? "It names a position that this server has not reached, though it is the one that writes."
          : "It is not the text of a token, or lacks the signature.";
  ereport(ERROR, (errcode(errcode_token_unusable), errmsg("meridian.read_after can never be satisfied on this server"),
                  errdetail_internal("%s", why), errhint("Go on with SET meridian.read_after = ''.")));
  pg_unreachable();
}

void report(const WaitOutcome& outcome) {
  switch (outcome.verdict) {
    case Verdict::yes:
      return;
    case Verdict::not_yet:
      report_not_here(outcome);
    case Verdict::lost:
      report_lost();
    case Verdict::future:
    case Verdict::foreign:
    case Verdict::invalid:
      report_unusable(outcome.verdict);
  }
}

/// Waits. The caller has seen to it that no snapshot is held.
void wait_now() {
  InvalidateCatalogSnapshot();
  const WaitOutcome outcome = wait_until_here(read_token(read_after), read_after_timeout_ms);
  if (outcome.verdict == Verdict::yes || may_proceed()) {
    pending = false;
  } else {
    report(outcome);
  }
}

/// True if the transaction's snapshot is fixed, which is an error unless one may proceed.
bool is_too_late() {
  if (!IsolationUsesXactSnapshot() || !FirstSnapshotSet) return false;
  if (!may_proceed()) {
    ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                    errmsg("meridian.read_after is set too late: the transaction has its snapshot already"),
                    errhint("Use SET meridian.read_after before BEGIN, or as the first statement after it.")));
  }
  pending = false;
  return true;
}

// --- utility statements ---

bool sets_read_after(const Node* statement) {
  if (!IsA(statement, VariableSetStmt)) return false;
  const auto* set = reinterpret_cast<const VariableSetStmt*>(statement);
  return set->name != nullptr && pg_strcasecmp(set->name, "meridian.read_after") == 0;
}

bool begins_transaction(const Node* statement) {
  if (!IsA(statement, TransactionStmt)) return false;
  const auto kind = reinterpret_cast<const TransactionStmt*>(statement)->kind;
  return kind == TRANS_STMT_BEGIN || kind == TRANS_STMT_START;
}

bool commits_prepared(const Node* statement) {
  return IsA(statement, TransactionStmt) &&
         reinterpret_cast<const TransactionStmt*>(statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

/// Statements that read tables although they are utilities.
bool reads_tables(const Node* statement) {
  switch (nodeTag(statement)) {
    case T_ExecuteStmt:
    case T_ExplainStmt:
    case T_DeclareCursorStmt:
    case T_CreateTableAsStmt:
    case T_CopyStmt:
    case T_CallStmt:
    case T_DoStmt:
      return true;
    default:
      return false;
  }
}

/// Waits without the snapshot that the portal has pushed for the statement.
void wait_in_utility() {
  if (is_too_late()) return;
  if (!ActiveSnapshotSet()) {
    wait_now();
    return;
  }
  if (ActivePortal == nullptr || ActivePortal->portalSnapshot != GetActiveSnapshot()) return;
  PopActiveSnapshot();
  ActivePortal->portalSnapshot = nullptr;
  wait_now();
  EnsurePortalSnapshotExists();
}

void before_utility(const Node* statement) {
  if (begins_transaction(statement)) {
    if (!IsTransactionBlock()) wait_now();
  } else if (reads_tables(statement)) {
    wait_in_utility();
  }
}

void process_utility(PlannedStmt* statement, const char* text, bool read_only_tree, ProcessUtilityContext context,
                     ParamListInfo parameters, QueryEnvironment* environment, DestReceiver* receiver,
                     QueryCompletion* completion) {
  const Node* const node = statement->utilityStmt;
  const bool top = context == PROCESS_UTILITY_TOPLEVEL;
  // The statement's tree may not outlive its execution: COMMIT in a procedure ends the transaction.
  const bool sets = top && sets_read_after(node);
  const bool commits = commits_prepared(node);
  if (pending && top) before_utility(node);
  const auto next = next_process_utility != nullptr ? next_process_utility : standard_ProcessUtility;
  next(statement, text, read_only_tree, context, parameters, environment, receiver, completion);
  if (commits) note_commit_prepared();
  if (sets && pending && !is_too_late()) wait_now();
}

// --- queries ---

/// Waits without the query's snapshot, and gives it a new one. Only for the outermost query of a session: others run
/// inside one that holds a snapshot anyway.
void wait_in_query(QueryDesc* query) {
  if (IsParallelWorker() || query->snapshot == InvalidSnapshot || !ActiveSnapshotSet() ||
      query->snapshot != GetActiveSnapshot())
    return;
  if (is_too_late()) return;
  const Snapshot held = query->snapshot;
  PopActiveSnapshot();
  if (ActiveSnapshotSet()) {
    PushActiveSnapshot(held);
    return;
  }
  query->snapshot = InvalidSnapshot;
  UnregisterSnapshot(held);
  wait_now();
  PushCopiedSnapshot(GetTransactionSnapshot());
  query->snapshot = RegisterSnapshot(GetActiveSnapshot());
}

void executor_start(QueryDesc* query, int flags) {
  if (pending) wait_in_query(query);
  if (next_executor_start != nullptr) {
    next_executor_start(query, flags);
  } else {
    standard_ExecutorStart(query, flags);
  }
}

extern "C" {

void meridian_process_utility(PlannedStmt* statement, const char* text, bool read_only_tree,
                              ProcessUtilityContext context, ParamListInfo parameters, QueryEnvironment* environment,
                              DestReceiver* receiver, QueryCompletion* completion) {
  guarded([&] {
    process_utility(statement, text, read_only_tree, context, parameters, environment, receiver, completion);
  });
}

void meridian_executor_start(QueryDesc* query, int flags) {
  guarded([&] { executor_start(query, flags); });
}
}

}  // namespace

extern "C" void meridian_assign_read_after(const char* value, void*) { pending = value != nullptr && value[0] != '\0'; }

void install_read_after_hooks() {
  next_process_utility = ProcessUtility_hook;
  ProcessUtility_hook = meridian_process_utility;
  next_executor_start = ExecutorStart_hook;
  ExecutorStart_hook = meridian_executor_start;
}

}  // namespace meridian::pg
