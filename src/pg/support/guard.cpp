// The out-of-line half of guard.hpp; see there for the rules. Nothing here allocates on the way from a catch block to
// ereport: an error must be reportable when memory is what ran out.

#include "pg/support/guard.hpp"

#include "core/error.hpp"
#include "pg/errors.hpp"

namespace meridian::pg {
namespace {

/// The SQLSTATE of each kind of core error, as documented at ErrorKind.
int sqlstate_of(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::malformed_text:
      return ERRCODE_INVALID_TEXT_REPRESENTATION;
    case ErrorKind::malformed_binary:
      return ERRCODE_INVALID_BINARY_REPRESENTATION;
    case ErrorKind::invalid_rule:
      return ERRCODE_INVALID_PARAMETER_VALUE;
    case ErrorKind::limit_exceeded:
      return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
    case ErrorKind::not_additive:
    case ErrorKind::out_of_range:
      return ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
    case ErrorKind::against_rule:
    case ErrorKind::out_of_bounds:
      return ERRCODE_CHECK_VIOLATION;
    case ErrorKind::rights_exceeded:
      return errcode_rights_exceeded;
  }
  return ERRCODE_INTERNAL_ERROR;
}

/// Copies as much as fits, always terminated.
template <std::size_t N>
void copy_text(char (&to)[N], const char* from) noexcept {
  std::strncpy(to, from, N - 1);
  to[N - 1] = '\0';
}

void fill(Caught& caught, int sqlstate, const char* message, const char* hint = "") noexcept {
  caught.pg_error = nullptr;
  caught.sqlstate = sqlstate;
  copy_text(caught.message, message);
  copy_text(caught.hint, hint);
}

/// Length of `text` without a multibyte character that the fixed buffer cut in two.
int whole_length(const char* text) {
  const int length = static_cast<int>(std::strlen(text));
  return pg_mbcliplen(text, length, length);
}

/// PostgreSQL's error-handling globals, put back when the frame of call_protected is left by return or exception.
class ErrorStack {
 public:
  ErrorStack() noexcept : exception_stack_(PG_exception_stack), context_stack_(error_context_stack) {}
  ErrorStack(const ErrorStack&) = delete;
  ErrorStack& operator=(const ErrorStack&) = delete;
  ~ErrorStack() { restore(); }
  void restore() const noexcept {
    PG_exception_stack = exception_stack_;
    error_context_stack = context_stack_;
  }

 private:
  sigjmp_buf* exception_stack_;
  ErrorContextCallback* context_stack_;
};

/// Takes the current error out of PostgreSQL's hands into the current memory context; null if memory does not suffice.
ErrorData* take_error() {
  const ErrorStack outer;
  const MemoryContext context = CurrentMemoryContext;
  ErrorData* volatile copy = nullptr;
  sigjmp_buf out_of_memory;
  if (sigsetjmp(out_of_memory, 0) == 0) {
    PG_exception_stack = &out_of_memory;
    copy = CopyErrorData();
  } else {
    MemoryContextSwitchTo(context);
  }
  FlushErrorState();
  return copy;
}

}  // namespace

void describe_current_exception(Caught& caught) noexcept {
  try {
    throw;
  } catch (const PgError& error) {
    caught.pg_error = error.data();
  } catch (const Error& error) {
    fill(caught, sqlstate_of(error.kind()), error.what(), error.hint().c_str());
  } catch (const std::bad_alloc&) {
    fill(caught, ERRCODE_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    fill(caught, ERRCODE_INTERNAL_ERROR, error.what());
  } catch (...) {
    fill(caught, ERRCODE_INTERNAL_ERROR, "unknown C++ exception");
  }
}

void raise(const Caught& caught) {
  if (caught.pg_error != nullptr) {
    // errfinish clears these before it leaves; ReThrowError relies on that, but call_protected has restored them.
    InterruptHoldoffCount = 0;
    QueryCancelHoldoffCount = 0;
    ReThrowError(caught.pg_error);
  }
  ereport(ERROR, (errcode(caught.sqlstate), errmsg_internal("%.*s", whole_length(caught.message), caught.message),
                  caught.hint[0] == '\0' ? 0 : errhint("%.*s", whole_length(caught.hint), caught.hint)));
  pg_unreachable();
}

void call_protected(void (*body)(void*), void* argument) {
  const ErrorStack outer;
  const MemoryContext context = CurrentMemoryContext;
  const uint32 interrupt_holdoff = InterruptHoldoffCount;
  const uint32 cancel_holdoff = QueryCancelHoldoffCount;
  sigjmp_buf raised;
  // Mask 0, as PG_TRY: saving the signal mask costs a system call, and PostgreSQL never longjmps out of a handler here.
  if (sigsetjmp(raised, 0) == 0) {
    PG_exception_stack = &raised;
    body(argument);
    return;
  }
  outer.restore();
  MemoryContextSwitchTo(context);
  ErrorData* const error = take_error();
  InterruptHoldoffCount = interrupt_holdoff;
  QueryCancelHoldoffCount = cancel_holdoff;
  if (error == nullptr) {
    throw std::bad_alloc();
  }
  throw PgError(error);
}

}  // namespace meridian::pg
