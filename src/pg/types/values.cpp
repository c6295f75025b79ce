#include "pg/types/values.hpp"

namespace meridian::pg {
namespace {

// A pointer, not an object: nothing may run at load or exit time of the library.
TypeScratch* scratch_area = nullptr;

}  // namespace

TypeScratch& type_scratch() {
  if (scratch_area != nullptr && (scratch_area->bytes.capacity() > max_local_type_size ||
                                  scratch_area->text.capacity() > 2 * max_local_type_size)) {
    delete scratch_area;
    scratch_area = nullptr;
  }
  if (scratch_area == nullptr) scratch_area = new TypeScratch;
  return *scratch_area;
}

Datum state_datum(StateView bytes) {
  auto* value = static_cast<struct varlena*>(palloc(bytes.size() + VARHDRSZ));
  SET_VARSIZE(value, bytes.size() + VARHDRSZ);
  std::memcpy(VARDATA(value), bytes.data(), bytes.size());
  return PointerGetDatum(value);
}

std::string_view text_argument(Datum value) {
  const auto* bytes = DatumGetTextPP(value);
  return {VARDATA_ANY(bytes), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(bytes))};
}

TextArray text_array_argument(Datum value) {
  ArrayType* array = DatumGetArrayTypeP(value);
  if (ARR_NDIM(array) > 1) {
    ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR), errmsg("a set is made of an array of one dimension"),
                    errhint("Write it as '{a,b}'::text[].")));
  }
  Datum* elements = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
  auto* texts = static_cast<std::string_view*>(palloc(sizeof(std::string_view) * (count + 1)));
  for (int i = 0; i < count; ++i) {
    if (nulls[i]) {
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("an element of a set cannot be NULL"),
                      errhint("Remove it from the array: array_remove(array, NULL).")));
    }
    texts[i] = text_argument(elements[i]);
  }
  return {texts, count};
}

Datum scratch_text_array() {
  const std::vector<std::string>& texts = scratch_area->texts;
  const int count = static_cast<int>(texts.size());
  auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1)));
  for (int i = 0; i < count; ++i) {
    const std::string& text = texts[static_cast<std::size_t>(i)];
    elements[i] = PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
  }
  return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum scratch_jsonb() { return DirectFunctionCall1(jsonb_in, CStringGetDatum(scratch_area->text.c_str())); }

Datum scratch_numeric() {
  return DirectFunctionCall3(numeric_in, CStringGetDatum(scratch_area->text.c_str()), ObjectIdGetDatum(InvalidOid),
                             Int32GetDatum(-1));
}

char* scratch_cstring() { return pstrdup(scratch_area->text.c_str()); }

Datum scratch_hash() {
  const std::string& text = scratch_area->text;
  return hash_any(reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
}

Datum scratch_hash(std::uint64_t seed) {
  const std::string& text = scratch_area->text;
  return hash_any_extended(reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()), seed);
}

void verify_scratch_texts() {
  for (const std::string& text : scratch_area->texts) {
    pg_verify_mbstr(GetDatabaseEncoding(), text.data(), static_cast<int>(text.size()), false);
  }
}

}  // namespace meridian::pg
