#include "pg/key_hash.hpp"

namespace meridian::pg {
namespace {

bool is_compiled(Oid function) {
  const HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) return false;
  const Oid language = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->prolang;
  ReleaseSysCache(tuple);
  return language == INTERNALlanguageId || language == ClanguageId;
}

}  // namespace

void choose_key_hash(Oid type, Oid equality, MemoryContext context, FmgrInfo* hash) {
  *hash = {};
  const TypeCacheEntry* cache = lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC | TYPECACHE_HASH_OPFAMILY);
  const Oid function = cache->hash_extended_proc;
  if (!OidIsValid(function) || !op_in_opfamily(equality, cache->hash_opf) || !is_compiled(function)) return;
  fmgr_info_cxt(function, hash, context);
}

std::uint64_t add_to_key_hash(std::uint64_t so_far, const FmgrInfo* hash, Oid collation, Datum value) {
  if (!OidIsValid(hash->fn_oid)) return so_far;
  const Datum part = FunctionCall2Coll(const_cast<FmgrInfo*>(hash), collation, value, Int64GetDatum(0));
  return hash_combine64(so_far, DatumGetUInt64(part));
}

}  // namespace meridian::pg
