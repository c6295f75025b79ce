// A token is made in the commit callback, shown as meridian.last_write, and sent to the client as a ParameterStatus
// message before the reply to the command ends.
//
// The setting has GUC_REPORT, so that every client hears of it when it connects, but its stored value never changes:
// the commit callback sends the message itself. PostgreSQL 15 would otherwise look through all settings after every
// commit, which is half of what a token would cost.
//
// Invariants of the callback: the transaction is committed and visible, so nothing may raise: an error would be a
// PANIC. XactLastCommitEnd is the end of its commit record: pg_current_wal_lsn() may be behind an asynchronous commit,
// and pg_current_wal_insert_lsn() beyond a page header that no standby ever reports as replayed. A transaction without
// xid has no token even if it wrote WAL (pruning, hint bits): nobody else can see a difference.
#include "pg/token.hpp"

#include "core/token.hpp"
#include "pg/session_table.hpp"
#include "pg/support/function.hpp"
#include "pg/token_check.hpp"
#include "pg/token_secret.hpp"
#include "pg/wait.hpp"

namespace meridian::pg {

char* last_write_setting;

namespace {

constexpr char setting_name[] = "meridian.last_write";
/// Empty, or the token of the last commit of this session that wrote, and of what it wrote in other regions.
char last_write[max_token_text + 1];
/// Empty, or the token of what execute_at() wrote for this session.
char elsewhere[max_token_text + 1];

pg_atomic_uint64* issued = nullptr;
bool commits_prepared = false;

void note_issued(XLogRecPtr end) {
  if (issued == nullptr) return;
  std::uint64_t seen = pg_atomic_read_u64(issued);
  while (seen < end && !pg_atomic_compare_exchange_u64(issued, &seen, end)) {
  }
}

/// Interrupts are held off, and a client that is gone is not an error here. The buffer is allocated once, so after the
/// first token nothing can fail.
void report_to_client() {
  static StringInfoData message;
  if (message.data == nullptr) {
    const MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
    initStringInfo(&message);
    MemoryContextSwitchTo(caller);
  }
  pq_beginmessage_reuse(&message, 'S');
  pq_sendbytes(&message, setting_name, sizeof setting_name);
  pq_sendbytes(&message, last_write, static_cast<int>(std::strlen(last_write)) + 1);
  pq_endmessage_reuse(&message);
}

/// Puts all that either token speaks of into `to`, which may be one of them.
void unite(const char* a, const char* b, char* to) {
  Token token = parse_token(a).token;
  token.merge(parse_token(b).token);
  std::string text = to_text(token);
  if (!token.empty() && !token_secret().empty()) text += to_text(sign_token(token_secret(), text));
  std::strcpy(to, text.c_str());
}

void announce(XLogRecPtr end) noexcept {
  char own[short_token_size];
  write_token({GetSystemIdentifier(), GetWALInsertionTimeLine(), end}, token_secret(), own);
  std::strcpy(last_write, own);
  note_issued(end);
  try {
    if (elsewhere[0] != '\0') unite(last_write, elsewhere, last_write);
    if (whereToSendOutput == DestRemote) call([] { report_to_client(); });
  } catch (...) {
    // Memory ran out. The setting is right as far as this server goes, and nothing is held that had to be released.
  }
}

void on_transaction_event(XactEvent event) noexcept {
  switch (event) {
    case XACT_EVENT_COMMIT:
      if ((commits_prepared || TransactionIdIsValid(GetTopTransactionIdIfAny())) &&
          !XLogRecPtrIsInvalid(XactLastCommitEnd)) {
        note_session_commit(XactLastCommitEnd);
        // Workers have no client to tell.
        if (MyBackendType == B_BACKEND) announce(XactLastCommitEnd);
      }
      commits_prepared = false;
      break;
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PREPARE:
      commits_prepared = false;
      break;
    default:
      break;
  }
}

extern "C" void meridian_token_at_transaction_event(XactEvent event, void*) { on_transaction_event(event); }

[[noreturn]] void refuse_token() {
  ereport(ERROR,
          (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("not a token, or not signed with this server's secret"),
           errhint("A token is the text of meridian.last_write or of merge_tokens(), unchanged.")));
  pg_unreachable();
}

}  // namespace

const char* meridian_show_last_write() { return last_write; }

void merge_last_write(const char* token) {
  if (!read_token(token).valid) return;
  guarded([token] {
    unite(elsewhere, token, elsewhere);
    unite(last_write, token, last_write);
  });
  if (whereToSendOutput == DestRemote) report_to_client();
}

void note_commit_prepared() { commits_prepared = true; }

XLogRecPtr last_issued() { return issued == nullptr ? InvalidXLogRecPtr : pg_atomic_read_u64(issued); }

void register_token_callbacks() { RegisterXactCallback(meridian_token_at_transaction_event, nullptr); }

Size token_shmem_size() { return MAXALIGN(sizeof(pg_atomic_uint64)); }

void token_shmem_init() {
  bool found;
  issued = static_cast<pg_atomic_uint64*>(ShmemInitStruct("meridian last token", token_shmem_size(), &found));
  if (!found) pg_atomic_init_u64(issued, 0);
}

}  // namespace meridian::pg

/// meridian.last_write_token() returns text
MERIDIAN_FUNCTION(meridian_last_write_token)
{
  const char* const token = meridian::pg::meridian_show_last_write();
  if (token[0] == '\0') PG_RETURN_NULL();
  PG_RETURN_TEXT_P(cstring_to_text(token));
}

/// meridian.check_token(text) returns text
MERIDIAN_FUNCTION(meridian_check_token)
{
  using namespace meridian::pg;
  const Wanted wanted = read_token(text_view(PG_GETARG_TEXT_PP(0)));
  PG_RETURN_TEXT_P(cstring_to_text(meridian::name_of(judge_here(wanted).verdict)));
}

/// meridian.wait_for(text, interval) returns text
MERIDIAN_FUNCTION(meridian_wait_for)
{
  using namespace meridian::pg;
  const Wanted wanted = read_token(text_view(PG_GETARG_TEXT_PP(0)));
  const WaitOutcome outcome = wait_until_here(wanted, checked_timeout(PG_GETARG_INTERVAL_P(1)));
  PG_RETURN_TEXT_P(cstring_to_text(outcome_name(outcome.verdict)));
}

/// meridian.merge_tokens(text, text) returns text
MERIDIAN_FUNCTION(meridian_merge_tokens)
{
  using namespace meridian::pg;
  const Wanted sides[] = {read_token(text_view(PG_GETARG_TEXT_PP(0))), read_token(text_view(PG_GETARG_TEXT_PP(1)))};
  if (!sides[0].valid || !sides[1].valid) refuse_token();
  char* const merged = static_cast<char*>(palloc(meridian::max_token_text + 1));
  guarded([&sides, merged] {
    meridian::Token token;
    for (const Wanted& side : sides) {
      for (int i = 0; i < side.count; ++i) token.merge(meridian::Token(side.positions[i]));
    }
    std::string text = meridian::to_text(token);
    if (!token.empty() && !token_secret().empty())
      text += meridian::to_text(meridian::sign_token(token_secret(), text));
    std::strcpy(merged, text.c_str());
  });
  PG_RETURN_TEXT_P(cstring_to_text(merged));
}
