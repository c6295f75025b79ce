#include "pg/merge_function.hpp"

namespace meridian::pg {
namespace {

// The type that a function of these declared arguments returns for two values of `type`, or InvalidOid if it does not
// take them.
Oid result_for(Form_pg_proc function, Oid type) {
  const int count = function->pronargs;
  if (function->prokind != PROKIND_FUNCTION || function->proretset || (count != 2 && count != 4)) return InvalidOid;
  const Oid actual[] = {type, type, INT8OID, INT8OID};
  Oid declared[4];
  std::memcpy(declared, function->proargtypes.values, sizeof(Oid) * count);
  for (int i = 0; i < count; ++i) {
    const bool fits =
        i < 2 ? declared[i] == declared[0] && IsBinaryCoercible(type, declared[i]) : declared[i] == INT8OID;
    if (!fits) return InvalidOid;
  }
  if (!check_generic_type_consistency(actual, declared, count)) return InvalidOid;
  return enforce_generic_type_consistency(actual, declared, count, function->prorettype, false);
}

int rank(Form_pg_proc function, Oid type) {
  return (function->proargtypes.values[0] == type ? 2 : 0) + (function->pronargs == 4 ? 1 : 0);
}

MergeFunction describe(Form_pg_proc function, Oid result, Oid type) {
  MergeProblem problem = MergeProblem::none;
  if (function->provolatile != PROVOLATILE_IMMUTABLE) problem = MergeProblem::not_immutable;
  if (result != type && !IsBinaryCoercible(result, type)) problem = MergeProblem::wrong_result;
  return {function->oid, result, function->pronargs == 4, problem};
}

// What the function is called with, for those that ask for their arguments' types.
FuncExpr* call_expression(const MergeFunction& function, Oid type) {
  List* arguments = NIL;
  const Oid types[] = {type, type, INT8OID, INT8OID};
  for (int i = 0; i < (function.takes_stamps ? 4 : 2); ++i) {
    arguments = lappend(arguments, makeNullConst(types[i], -1, get_typcollation(types[i])));
  }
  const Oid collation = get_typcollation(type);
  return makeFuncExpr(function.oid, function.result, arguments, collation, collation, COERCE_EXPLICIT_CALL);
}

}  // namespace

MergeFunction find_merge_function(const char* schema, const char* name, Oid type) {
  const Oid space = get_namespace_oid(schema, true);
  MergeFunction best{InvalidOid, InvalidOid, false, MergeProblem::missing};
  int best_rank = -1;
  CatCList* candidates = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
  for (int i = 0; i < candidates->n_members; ++i) {
    const auto function = reinterpret_cast<Form_pg_proc>(GETSTRUCT(&candidates->members[i]->tuple));
    if (function->pronamespace != space) continue;
    const Oid result = result_for(function, type);
    if (!OidIsValid(result) || rank(function, type) <= best_rank) continue;
    best_rank = rank(function, type);
    best = describe(function, result, type);
  }
  ReleaseSysCacheList(candidates);
  return best;
}

MergeCall* prepare_merge_call(const char* schema, const char* name, Oid type, MemoryContext context) {
  auto* call = static_cast<MergeCall*>(MemoryContextAllocZero(context, sizeof(MergeCall)));
  const MergeFunction found = find_merge_function(schema, name, type);
  call->name = MemoryContextStrdup(context, quote_qualified_identifier(schema, name));
  call->type = type;
  call->takes_stamps = found.takes_stamps;
  call->missing = found.problem != MergeProblem::none;
  if (call->missing) return call;
  const MemoryContext caller = MemoryContextSwitchTo(context);
  fmgr_info_cxt(found.oid, &call->function, context);
  fmgr_info_set_expr(reinterpret_cast<Node*>(call_expression(found, type)), &call->function);
  MemoryContextSwitchTo(caller);
  return call;
}

Datum call_merge_function(MergeCall* call, Oid collation, Datum local, Datum incoming, std::int64_t local_stamp,
                          std::int64_t incoming_stamp) {
  if (call->missing) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                    errmsg("merge function %s(%s, %s) does not exist", call->name, format_type_be(call->type),
                           format_type_be(call->type)),
                    errhint("Create it again, IMMUTABLE and returning %s.", format_type_be(call->type))));
  }
  LOCAL_FCINFO(arguments, 4);
  InitFunctionCallInfoData(*arguments, &call->function, call->takes_stamps ? 4 : 2, collation, nullptr, nullptr);
  arguments->args[0] = {local, false};
  arguments->args[1] = {incoming, false};
  if (call->takes_stamps) {
    arguments->args[2] = {Int64GetDatum(local_stamp), false};
    arguments->args[3] = {Int64GetDatum(incoming_stamp), false};
  }
  const Datum result = FunctionCallInvoke(arguments);
  if (arguments->isnull) {
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("merge function %s returned NULL", call->name),
                    errhint("The result must hold what both arguments hold; test the function with "
                            "meridian.verify_merge().")));
  }
  return result;
}

}  // namespace meridian::pg
