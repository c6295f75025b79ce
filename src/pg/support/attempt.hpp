// Work that may fail without ending the transaction: a subtransaction with a memory context of its own.
#pragma once

#include "pg/support/guard.hpp"

namespace meridian::pg {

/// Runs `work` (glue lane) in a subtransaction. Returns null if it succeeded; else the error, allocated in the caller's
/// context, and everything that `work` did is rolled back. What `work` allocates is freed in either case. The caller
/// that does not know what to do with the error hands it on with ReThrowError.
template <typename Work>
ErrorData* attempt(Work work) {
  const MemoryContext caller = CurrentMemoryContext;
  const ResourceOwner owner = CurrentResourceOwner;
  const MemoryContext context = AllocSetContextCreate(caller, "meridian attempt", ALLOCSET_DEFAULT_SIZES);
  ErrorData* failure = nullptr;
  bool out_of_memory = false;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(caller);  // where call() leaves the error
  try {
    call([&work, context] {
      MemoryContextSwitchTo(context);
      guarded([&work] { work(); });
      ReleaseCurrentSubTransaction();
    });
  } catch (const PgError& error) {
    failure = error.data();
  } catch (const std::bad_alloc&) {
    out_of_memory = true;
  }
  if (failure != nullptr || out_of_memory) RollbackAndReleaseCurrentSubTransaction();
  MemoryContextSwitchTo(caller);
  CurrentResourceOwner = owner;
  MemoryContextDelete(context);
  if (out_of_memory) {
    failure = static_cast<ErrorData*>(palloc0(sizeof(ErrorData)));
    failure->elevel = ERROR;
    failure->sqlerrcode = ERRCODE_OUT_OF_MEMORY;
    failure->message = pstrdup("out of memory");
    failure->assoc_context = caller;
  }
  return failure;
}

}  // namespace meridian::pg
