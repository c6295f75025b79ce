// Parts of SQL statements that are made by us: names that mean the same under any search path. In the current context.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// `OPERATOR(schema.name)`.
inline const char* qualified_operator(Oid number) {
  const HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(number));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for operator %u", number);
  const auto* const form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
  const char* const name =
      psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
  ReleaseSysCache(tuple);
  return name;
}

/// The type of a column, with its modifier.
inline const char* qualified_type(const FormData_pg_attribute* column) {
  return format_type_extended(column->atttypid, column->atttypmod,
                              FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

}  // namespace meridian::pg
