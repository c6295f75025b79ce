#include "pg/home_key.hpp"

#include "pg/row_values.hpp"

namespace meridian::pg {
namespace {

/// Types whose text form no setting changes.
bool has_one_text(Oid type) {
  switch (getBaseType(type)) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case OIDOID:
    case NUMERICOID:
    case BOOLOID:
    case UUIDOID:
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
    case NAMEOID:
      return true;
    default:
      return type_is_enum(type) || TypeCategory(type) == TYPCATEGORY_STRING;
  }
}

}  // namespace

void init_key_format(KeyFormat* format, Oid type, MemoryContext context) {
  Oid output = InvalidOid;
  bool is_varlena = false;
  getTypeOutputInfo(type, &output, &is_varlena);
  fmgr_info_cxt(output, &format->output, context);
  format->type = type;
  format->by_settings = !has_one_text(type);
}

std::string_view key_text(KeyFormat* format, Datum value) {
  if (!format->by_settings) return portable_text(OutputFunctionCall(&format->output, value));
  const int level = pin_settings();
  set_config_option("timezone", "UTC", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  const char* const text = OutputFunctionCall(&format->output, value);
  unpin_settings(level);
  return portable_text(text);
}

std::string_view portable_text(std::string_view text) {
  const int encoding = GetDatabaseEncoding();
  if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII) return text;
  const char* const converted = pg_server_to_any(text.data(), static_cast<int>(text.size()), PG_UTF8);
  return converted == text.data() ? text : std::string_view(converted);
}

}  // namespace meridian::pg
