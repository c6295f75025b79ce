// Functions that cross the border of src/pg/support/guard.hpp in every way, for test/module/sql/guard.sql.
//
// `Counted` stands for any C++ object that must not be skipped by a longjmp: the number of live ones is zero whenever
// no function of this module is running. The counters are plain integers, so the library has no static constructor.

#include <malloc.h>

#include "core/error.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"

MERIDIAN_MODULE_MAGIC("meridian_guard_test")

namespace meridian::pg {
namespace {

int32 live_objects = 0;
int64 destroyed_objects = 0;

/// An object whose construction and destruction are counted, and which owns heap memory.
class Counted {
 public:
  Counted() : payload_(100, 'x') { ++live_objects; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() {
    --live_objects;
    ++destroyed_objects;
  }

 private:
  std::string payload_;
};

/// Holds a lock of this backend's own for as long as it lives.
class LockHolder {
 public:
  explicit LockHolder(LWLock* lock) : lock_(lock) {
    call([lock] { LWLockAcquire(lock, LW_EXCLUSIVE); });
  }
  LockHolder(const LockHolder&) = delete;
  LockHolder& operator=(const LockHolder&) = delete;
  ~LockHolder() { LWLockRelease(lock_); }

 private:
  LWLock* lock_;
};

/// Core lane: throws what `kind` names.
void throw_named(std::string_view kind) {
  const Counted object;
  if (kind == "malformed_text") throw Error(ErrorKind::malformed_text, "bad text", "write better text");
  if (kind == "malformed_binary") throw Error(ErrorKind::malformed_binary, "bad bytes");
  if (kind == "invalid_rule") throw Error(ErrorKind::invalid_rule, "bad rule", "see the list of rules");
  if (kind == "limit_exceeded") throw Error(ErrorKind::limit_exceeded, "too much", "use less");
  if (kind == "not_additive") throw Error(ErrorKind::not_additive, "not a number");
  if (kind == "bad_alloc") throw std::bad_alloc();
  if (kind == "length_error") throw std::length_error("too long");
  if (kind == "long") {
    std::string text;
    for (int i = 0; i < 600; ++i) text += "\u00e9";
    throw Error(ErrorKind::limit_exceeded, text, text);
  }
  if (kind == "percent") throw std::runtime_error("100%s %n");
  throw 42;
}

/// Core lane: calls PostgreSQL from below two frames with live objects.
void call_below_objects(Oid callee) {
  const Counted outer;
  const auto inner = [callee] {
    const Counted object;
    call([callee] { return OidFunctionCall0(callee); });
  };
  inner();
}

LWLock* own_lock() {
  static LWLock* lock = nullptr;
  if (lock == nullptr) {
    auto* created = static_cast<LWLock*>(MemoryContextAlloc(TopMemoryContext, sizeof(LWLock)));
    LWLockInitialize(created, LWLockNewTrancheId());
    lock = created;
  }
  return lock;
}

/// PostgreSQL -> C++ -> PostgreSQL -> C++: an exception becomes an error becomes an exception. The error holds nothing
/// but its own text, so dropping it here is safe; real code must not.
void cross_once() {
  const Counted object;
  const MemoryContext before = CurrentMemoryContext;
  try {
    call([] {
      MemoryContextSwitchTo(TopMemoryContext);
      guarded([] { throw_named("malformed_text"); });
    });
  } catch (const PgError& error) {
    if (CurrentMemoryContext != before) throw Error(ErrorKind::limit_exceeded, "memory context was not restored");
    if (error.data()->sqlerrcode != ERRCODE_INVALID_TEXT_REPRESENTATION) throw;
    FreeErrorData(error.data());
    return;
  }
  throw Error(ErrorKind::limit_exceeded, "no error arrived");
}

/// The interrupt holdoff count after an error was dropped while an RAII object held a lock.
uint32 holdoff_after_dropped_error(LWLock* lock) {
  try {
    const LockHolder holder(lock);
    call([] { elog(ERROR, "to be dropped"); });
  } catch (const PgError& error) {
    FreeErrorData(error.data());
  }
  return InterruptHoldoffCount;
}

}  // namespace

MERIDIAN_FUNCTION(meridian_guard_throw)
{
  const text* kind = PG_GETARG_TEXT_PP(0);
  throw_named({VARDATA_ANY(kind), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(kind))});
  PG_RETURN_VOID();
}

MERIDIAN_FUNCTION(meridian_guard_allocate)
{
  const int64 bytes = PG_GETARG_INT64(0);
  guarded([bytes] {
    const std::vector<char> memory(static_cast<std::size_t>(bytes));
    // A compiler may leave out an allocation whose memory nobody sees.
    asm volatile("" : : "g"(memory.data()) : "memory");
  });
  PG_RETURN_VOID();
}

MERIDIAN_FUNCTION(meridian_guard_raise)
{
  ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION), errmsg("raised in the glue"), errdetail("a detail"),
                  errhint("a hint"), err_generic_string(PG_DIAG_CONSTRAINT_NAME, "some_constraint")));
  PG_RETURN_VOID();
}

MERIDIAN_FUNCTION(meridian_guard_call)
{
  call_below_objects(PG_GETARG_OID(0));
  PG_RETURN_VOID();
}

MERIDIAN_FUNCTION(meridian_guard_call_locked_by_object)
{
  LWLock* const lock = own_lock();
  const Oid callee = PG_GETARG_OID(0);
  guarded([lock, callee] {
    const LockHolder holder(lock);
    call_below_objects(callee);
  });
  PG_RETURN_VOID();
}

MERIDIAN_FUNCTION(meridian_guard_call_locked_by_glue)
{
  LWLock* const lock = own_lock();
  const Oid callee = PG_GETARG_OID(0);
  LWLockAcquire(lock, LW_EXCLUSIVE);
  guarded([callee] { call_below_objects(callee); });
  LWLockRelease(lock);
  PG_RETURN_VOID();
}

MERIDIAN_FUNCTION(meridian_guard_drop_locked)
{
  const uint32 holdoff = holdoff_after_dropped_error(own_lock());
  PG_RETURN_INT64(holdoff);
}

MERIDIAN_FUNCTION(meridian_guard_cross)
{
  const int32 times = PG_GETARG_INT32(0);
  for (int32 i = 0; i < times; ++i) {
    cross_once();
    CHECK_FOR_INTERRUPTS();
  }
  PG_RETURN_VOID();
}

MERIDIAN_FUNCTION(meridian_guard_state)
{
  TupleDesc descriptor;
  if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) {
    elog(ERROR, "guard_state must return a row");
  }
  const Datum values[] = {
      Int32GetDatum(live_objects),
      Int64GetDatum(destroyed_objects),
      BoolGetDatum(std::current_exception() != nullptr),
      Int64GetDatum(InterruptHoldoffCount),
      Int64GetDatum(QueryCancelHoldoffCount),
      Int64GetDatum(static_cast<int64>(MemoryContextMemAllocated(TopMemoryContext, true))),
      Int64GetDatum(static_cast<int64>(mallinfo2().uordblks)),
  };
  bool nulls[std::size(values)] = {};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), const_cast<Datum*>(values), nulls)));
}

}  // namespace meridian::pg
