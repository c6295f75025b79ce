#include "pg/types/columns.hpp"

#include "core/type_ops.hpp"
#include "pg/catalog.hpp"
#include "pg/types/values.hpp"

namespace meridian::pg {
namespace {

// Core lane.
StateView merged(TypeKind kind, StateView mine, StateView theirs) {
  Bytes& out = type_scratch().bytes;
  out.clear();
  merge_values(kind, mine, theirs, out);
  return {out.data(), out.size()};
}

StateView absorbed(TypeKind kind, StateView before, StateView after, Actor actor) {
  Bytes& out = type_scratch().bytes;
  out.clear();
  absorb_value(kind, before, after, actor, out);
  return {out.data(), out.size()};
}

}  // namespace

TypeKind explicit_type(Oid type) {
  const HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(getBaseType(type)));
  if (!HeapTupleIsValid(tuple)) return TypeKind::none;
  const auto* form = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
  const bool ours = form->typnamespace == schema_oid();
  const TypeKind kind = ours ? type_kind(NameStr(form->typname)) : TypeKind::none;
  ReleaseSysCache(tuple);
  return kind;
}

Datum merge_column(TypeKind kind, Datum mine, Datum theirs) {
  const StateView left = state_view(mine);
  const StateView right = state_view(theirs);
  if (same_bytes(left, right)) return mine;
  const StateView result = merged(kind, left, right);
  if (same_bytes(result, left)) return mine;
  return same_bytes(result, right) ? theirs : state_datum(result);
}

Datum absorb_column(TypeKind kind, bool is_new, Datum before, Datum after, Actor actor) {
  const StateView old = is_new ? StateView{} : state_view(before);
  const StateView wanted = state_view(after);
  if (!is_new && same_bytes(old, wanted)) return before;
  const StateView result = absorbed(kind, old, wanted, actor);
  if (same_bytes(result, wanted)) return after;
  return !is_new && same_bytes(result, old) ? before : state_datum(result);
}

}  // namespace meridian::pg
