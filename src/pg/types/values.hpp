// Values of the explicit types between PostgreSQL and the core: what the SQL functions of all of them share.
//
// A value is a varlena whose payload is the canonical bytes of its state. Core-lane functions leave what they make in a
// scratch area that belongs to the backend and is overwritten by the next call of any function here; the caller copies
// it at once. So everything that a caller holds is trivially destructible.
#pragma once

#include "core/type_codec.hpp"
#include "core/type_ops.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {

using StateView = std::span<const std::byte>;

struct TypeScratch {
  Bytes bytes;
  std::string text;
  std::vector<std::string> texts;
};
/// Lives as long as the backend, and lets go of what was unusually large.
TypeScratch& type_scratch();

/// The payload, detoasted if need be.
inline StateView state_view(Datum value) {
  auto* state = reinterpret_cast<struct varlena*>(PG_DETOAST_DATUM_PACKED(value));
  return {reinterpret_cast<const std::byte*>(VARDATA_ANY(state)), VARSIZE_ANY_EXHDR(state)};
}
Datum state_datum(StateView bytes);
inline bool same_bytes(StateView a, StateView b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

/// A text argument, in place.
std::string_view text_argument(Datum value);
/// An array of texts without NULLs; errors name it as elements.
struct TextArray {
  const std::string_view* texts;
  int count;
};
TextArray text_array_argument(Datum value);
/// The array of the texts that the last call left in `type_scratch().texts`.
Datum scratch_text_array();
/// Text in the scratch area, as jsonb, numeric or cstring.
Datum scratch_jsonb();
Datum scratch_numeric();
char* scratch_cstring();
/// Hash of the text in the scratch area: 32 bits, or 64 with a seed.
Datum scratch_hash();
Datum scratch_hash(std::uint64_t seed);
/// The texts in the scratch area came from a client as bytes: raises 22021 if they are not in the server's encoding.
void verify_scratch_texts();

// --- core lane ----------------------------------------------------------------------------------------------------

template <typename Type>
StateView keep(const Type& value) {
  Bytes& bytes = type_scratch().bytes;
  bytes.clear();
  value.encode(bytes);
  return {bytes.data(), bytes.size()};
}

/// The text of a value, through `print(value)`, into the scratch area.
template <typename Type, typename Print>
void keep_text(StateView bytes, Print print) {
  type_scratch().text = print(Type::decode(bytes));
}

/// A local operation: `change(value)`, within the limit for those.
template <typename Type, typename Change>
StateView changed(StateView before, Change change) {
  Type value = before.empty() ? Type{} : Type::decode(before);
  change(value);
  const StateView after = keep(value);
  check_local_size(before.size(), after.size());
  return after;
}

template <typename Type>
StateView merged(StateView left, StateView right) {
  Type value = Type::decode(left);
  value.merge(Type::decode(right));
  return keep(value);
}

template <typename Type>
int compared(StateView left, StateView right) {
  if (same_bytes(left, right)) return 0;
  const auto order = Type::compare_values(Type::decode(left), Type::decode(right));
  return order < 0 ? -1 : static_cast<int>(order > 0);
}

/// Compares two arguments by value. An index build calls this often, so it frees what it detoasted.
template <typename Type>
int compare_arguments(FunctionCallInfo fcinfo) {
  const Datum left = PointerGetDatum(PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(0)));
  const Datum right = PointerGetDatum(PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(1)));
  const int order = compared<Type>(state_view(left), state_view(right));
  if (left != PG_GETARG_DATUM(0)) pfree(DatumGetPointer(left));
  if (right != PG_GETARG_DATUM(1)) pfree(DatumGetPointer(right));
  return order;
}

}  // namespace meridian::pg

// The functions that every explicit type has: input, output, receive, send, state (jsonb), merge, comparison by value.
#define MERIDIAN_TYPE_COMPARISON(name, Type, suffix, comparison) \
  MERIDIAN_FUNCTION(meridian_##name##_##suffix)                  \
  { PG_RETURN_BOOL(::meridian::pg::compare_arguments<Type>(fcinfo) comparison 0); }
#define MERIDIAN_TYPE_FUNCTIONS(name, Type, verify)                                                       \
  MERIDIAN_FUNCTION(meridian_##name##_in)                                                                 \
  {                                                                                                       \
    using namespace meridian::pg;                                                                         \
    return state_datum(keep(Type::parse(PG_GETARG_CSTRING(0))));                                          \
  }                                                                                                       \
  MERIDIAN_FUNCTION(meridian_##name##_out)                                                                \
  {                                                                                                       \
    using namespace meridian::pg;                                                                         \
    keep_text<Type>(state_view(PG_GETARG_DATUM(0)), [](const Type& value) { return value.to_text(); });   \
    PG_RETURN_CSTRING(scratch_cstring());                                                                 \
  }                                                                                                       \
  MERIDIAN_FUNCTION(meridian_##name##_recv)                                                               \
  {                                                                                                       \
    using namespace meridian::pg;                                                                         \
    auto* message = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));                                   \
    const int size = message->len - message->cursor;                                                      \
    const auto* data = reinterpret_cast<const std::byte*>(pq_getmsgbytes(message, size));                 \
    const StateView bytes(data, static_cast<std::size_t>(size));                                          \
    verify(bytes);                                                                                        \
    return state_datum(bytes);                                                                            \
  }                                                                                                       \
  MERIDIAN_FUNCTION(meridian_##name##_send)                                                               \
  {                                                                                                       \
    using namespace meridian::pg;                                                                         \
    return state_datum(state_view(PG_GETARG_DATUM(0)));                                                   \
  }                                                                                                       \
  MERIDIAN_FUNCTION(meridian_##name##_state)                                                              \
  {                                                                                                       \
    using namespace meridian::pg;                                                                         \
    keep_text<Type>(state_view(PG_GETARG_DATUM(0)), [](const Type& value) { return value.to_json(); });   \
    return scratch_jsonb();                                                                               \
  }                                                                                                       \
  MERIDIAN_FUNCTION(meridian_##name##_merge)                                                              \
  {                                                                                                       \
    using namespace meridian::pg;                                                                         \
    return state_datum(merged<Type>(state_view(PG_GETARG_DATUM(0)), state_view(PG_GETARG_DATUM(1))));     \
  }                                                                                                       \
  MERIDIAN_TYPE_COMPARISON(name, Type, eq, ==)                                                            \
  MERIDIAN_TYPE_COMPARISON(name, Type, ne, !=)                                                            \
  MERIDIAN_TYPE_COMPARISON(name, Type, lt, <)                                                             \
  MERIDIAN_TYPE_COMPARISON(name, Type, le, <=)                                                            \
  MERIDIAN_TYPE_COMPARISON(name, Type, gt, >)                                                             \
  MERIDIAN_TYPE_COMPARISON(name, Type, ge, >=)                                                            \
  MERIDIAN_FUNCTION(meridian_##name##_cmp)                                                                \
  { PG_RETURN_INT32(::meridian::pg::compare_arguments<Type>(fcinfo)); }                                   \
  MERIDIAN_FUNCTION(meridian_##name##_hash)                                                               \
  {                                                                                                       \
    using namespace meridian::pg;                                                                         \
    keep_text<Type>(state_view(PG_GETARG_DATUM(0)), [](const Type& value) { return value.value_key(); }); \
    return scratch_hash();                                                                                \
  }                                                                                                       \
  MERIDIAN_FUNCTION(meridian_##name##_hash_extended)                                                      \
  {                                                                                                       \
    using namespace meridian::pg;                                                                         \
    keep_text<Type>(state_view(PG_GETARG_DATUM(0)), [](const Type& value) { return value.value_key(); }); \
    return scratch_hash(static_cast<std::uint64_t>(PG_GETARG_INT64(1)));                                  \
  }
