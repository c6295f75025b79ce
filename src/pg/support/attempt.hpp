// Work that may fail without ending the transaction: a subtransaction with a memory context of its own.
#pragma once

#include "pg/support/guard.hpp"

namespace meridian::pg {

/// Runs `work` (glue lane) in a subtransaction. Returns null if it succeeded; else the error's message, palloc'd in the
/// caller's context, and everything that `work` did is rolled back. What `work` allocates is freed in either case.
template <typename Work>
const char* attempt(Work work) {
  const MemoryContext caller = CurrentMemoryContext;
  const ResourceOwner owner = CurrentResourceOwner;
  const MemoryContext context = AllocSetContextCreate(caller, "meridian attempt", ALLOCSET_DEFAULT_SIZES);
  const char* failure = nullptr;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(context);
  try {
    call([&work] {
      guarded([&work] { work(); });
      ReleaseCurrentSubTransaction();
    });
  } catch (const PgError& error) {
    failure = error.data()->message;
  } catch (const std::bad_alloc&) {
    failure = "out of memory";
  }
  if (failure != nullptr) RollbackAndReleaseCurrentSubTransaction();
  MemoryContextSwitchTo(caller);
  CurrentResourceOwner = owner;
  const char* message = failure == nullptr ? nullptr : pstrdup(failure);
  MemoryContextDelete(context);
  return message;
}

}  // namespace meridian::pg
