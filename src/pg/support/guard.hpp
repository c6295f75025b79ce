// The border between C++ exceptions and PostgreSQL errors.
//
// PostgreSQL leaves a function on error by longjmp, which skips destructors; C++ leaves it by unwinding, which must
// never reach a C frame (std::terminate, and the postmaster restarts every backend). So code is split in two lanes:
//   core lane  C++ with containers and RAII; makes no PostgreSQL call
//   glue lane  calls PostgreSQL freely; holds only trivially destructible locals
// and a lane is changed only through the two functions of this header:
//   guarded(f)  PostgreSQL -> C++: runs f; what f throws leaves as an ordinary ereport(ERROR)
//   call(f)     C++ -> PostgreSQL: runs f; an ereport(ERROR) in f comes out as the exception PgError
// Every extern "C" entry (SQL function, trigger, hook, callback, worker main) is guarded; function.hpp does so for SQL
// functions. Most glue needs only guarded(): decode the arguments, run a lambda of the core lane, encode the answer.
//
// Invariants:
//   - A longjmp raised inside guarded(f) passes through its frame, which therefore owns nothing.
//   - ereport is never called while a catch block is active: the exception object would leak. What was caught is first
//     copied to a Caught, and raised after the block.
//   - Only the frames between call() and guarded() are unwound. f holds nothing that needs a destructor.
//   - A caught PgError is not handled: locks, snapshots and SPI are still open. Re-throw it, or roll a subtransaction
//   back.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// A PostgreSQL error on its way through C++ frames; `guarded` gives it back to PostgreSQL unchanged (SQLSTATE, detail,
/// hint, context, location). Deliberately no std::exception, so that no handler for those swallows it.
class PgError {
 public:
  explicit PgError(ErrorData* data) noexcept : data_(data) {}
  /// Allocated in the memory context that was current when call() was entered; freed with it.
  [[nodiscard]] ErrorData* data() const noexcept { return data_; }

 private:
  ErrorData* data_;
};

/// What `guarded` caught, in a form that a longjmp may leave behind. Text is in the server's encoding, cut to fit.
struct Caught {
  ErrorData* pg_error;  ///< not null: a PgError; the other fields are unset
  int sqlstate;
  char message[1024];
  char hint[512];
};
static_assert(std::is_trivially_destructible_v<Caught>);

/// Fills `caught` from the exception being handled. To be called inside a catch block only.
void describe_current_exception(Caught& caught) noexcept;

/// Raises what was caught: ReThrowError for a PgError, ereport(ERROR) otherwise. To be called outside any catch block.
[[noreturn]] void raise(const Caught& caught);

/// Runs `body(argument)`; a PostgreSQL error in it is thrown as PgError (or std::bad_alloc, if the error itself could
/// not be copied). The type-erased half of call().
void call_protected(void (*body)(void*), void* argument);

/// PostgreSQL -> C++. Returns f(). An exception becomes a PostgreSQL error: meridian::Error keeps message and hint and
/// gets the SQLSTATE of its kind, std::bad_alloc 53200, everything else XX000; a PgError goes on as it was.
template <typename F>
auto guarded(F&& f) -> decltype(f()) {
  using Result = decltype(f());
  static_assert(std::is_void_v<Result> || std::is_trivially_destructible_v<Result>, "a longjmp may skip the result");
  static_assert(std::is_trivially_destructible_v<std::remove_cvref_t<F>>, "a longjmp may skip the captures");
  Caught caught;
  try {
    return f();
  } catch (...) {
    describe_current_exception(caught);
  }
  raise(caught);
}

/// C++ -> PostgreSQL. Returns f(), which should make one PostgreSQL call and own nothing. Throws PgError if f raised;
/// the interrupt holdoff counters are then what they were at the call, so that an LWLock held by a caller's RAII object
/// can be released during unwinding.
template <typename F>
auto call(F&& f) -> decltype(f()) {
  using Result = decltype(f());
  using Body = std::remove_reference_t<F>;
  static_assert(std::is_trivially_destructible_v<Body>, "a longjmp may skip the captures");
  if constexpr (std::is_void_v<Result>) {
    call_protected([](void* body) { (*static_cast<Body*>(body))(); }, const_cast<std::remove_const_t<Body>*>(&f));
  } else {
    static_assert(std::is_trivial_v<Result>, "a longjmp may skip the result");
    struct Frame {
      Body* body;
      Result result;
    };
    Frame frame{&f, {}};
    call_protected(
        [](void* argument) {
          auto* inner = static_cast<Frame*>(argument);
          inner->result = (*inner->body)();
        },
        &frame);
    return frame.result;
  }
}

}  // namespace meridian::pg
