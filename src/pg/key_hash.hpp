// Hashes of primary keys by the keys' own types: equal keys, however they are written, have equal hashes.
//
// They find tombstones and parked rows, and decide in which stream of a receiver the changes of a key travel. They do
// not leave the node: another one may hash differently.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// How one column of a key is hashed, from the equality operator of its index: by the type's extended hash function, if
/// its operator class agrees on what is equal and the function is not written in a procedural language, since it also
/// runs in the output plugin. Else `hash->fn_oid` is invalid, and the column has no part in the hash.
void choose_key_hash(Oid type, Oid equality, MemoryContext context, FmgrInfo* hash);

/// The hash of a key whose columns before have the hash `so_far` (0 for the first); the value is not NULL.
std::uint64_t add_to_key_hash(std::uint64_t so_far, const FmgrInfo* hash, Oid collation, Datum value);

}  // namespace meridian::pg
