// SQL functions of type meridian.row_state: a varlena whose payload is the canonical bytes of core/row_state_codec.hpp.
#include "core/merge.hpp"
#include "core/row_state_codec.hpp"
#include "pg/state_ops.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

std::span<const std::byte> payload(struct varlena* value) {
  return {reinterpret_cast<const std::byte*>(VARDATA_ANY(value)), VARSIZE_ANY_EXHDR(value)};
}

struct varlena* argument(FunctionCallInfo fcinfo, int number) {
  return reinterpret_cast<struct varlena*>(PG_DETOAST_DATUM_PACKED(fcinfo->args[number].value));
}

struct varlena* allocate(std::size_t size) {
  auto* value = static_cast<struct varlena*>(palloc(size + VARHDRSZ));
  SET_VARSIZE(value, size + VARHDRSZ);
  return value;
}

// Backend-lifetime buffer of the last encoded state.
Bytes* buffer = nullptr;

std::span<const std::byte> keep(const RowState& state) {
  if (buffer == nullptr) buffer = new Bytes;
  buffer->clear();
  encode(state, *buffer);
  return {buffer->data(), buffer->size()};
}

Datum to_datum(std::span<const std::byte> bytes) {
  struct varlena* value = allocate(bytes.size());
  std::memcpy(VARDATA(value), bytes.data(), bytes.size());
  return PointerGetDatum(value);
}

std::string* text_buffer = nullptr;

const char* keep_text(std::span<const std::byte> bytes) {
  if (text_buffer == nullptr) text_buffer = new std::string;
  *text_buffer = to_text(decode(bytes));
  return text_buffer->c_str();
}

// For states alone, without a table: every slot that occurs is a slot of the shape.
std::span<const std::byte> merge_bytes(std::span<const std::byte> left, std::span<const std::byte> right) {
  return keep(merge(decode(left), decode(right), Shape{}, Tombstone{}).state);
}

const char* compare_bytes(std::span<const std::byte> left, std::span<const std::byte> right) {
  switch (compare_knowledge(decode(left), decode(right))) {
    case Knowledge::equal:
      return "equal";
    case Knowledge::older:
      return "older";
    case Knowledge::newer:
      return "newer";
    case Knowledge::concurrent:
      break;
  }
  return "concurrent";
}

// 0 if the member never wrote the row.
std::uint64_t last_write_of(std::span<const std::byte> bytes, std::uint32_t member) {
  std::uint64_t last = 0;
  for (const Entry& entry : decode(bytes).entries) {
    if (entry.actor.member() == member) last = std::max(last, entry.last.value);
  }
  return last;
}

}  // namespace
}  // namespace meridian::pg

using meridian::pg::argument;
using meridian::pg::payload;

MERIDIAN_FUNCTION(meridian_row_state_in)
{
  const meridian::pg::StateBytes bytes = meridian::pg::parse_state(PG_GETARG_CSTRING(0));
  return meridian::pg::to_datum({bytes.data, bytes.size});
}

MERIDIAN_FUNCTION(meridian_row_state_out)
{ PG_RETURN_CSTRING(pstrdup(meridian::pg::keep_text(payload(argument(fcinfo, 0))))); }

MERIDIAN_FUNCTION(meridian_row_state_recv)
{
  auto* message = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
  const int size = message->len - message->cursor;
  const auto* data = reinterpret_cast<const std::byte*>(pq_getmsgbytes(message, size));
  const meridian::pg::StateBytes bytes = meridian::pg::check_state({data, static_cast<std::size_t>(size)});
  return meridian::pg::to_datum({bytes.data, bytes.size});
}

MERIDIAN_FUNCTION(meridian_row_state_send)
{
  const std::span<const std::byte> bytes = payload(argument(fcinfo, 0));
  return meridian::pg::to_datum(bytes);
}

MERIDIAN_FUNCTION(meridian_row_state_eq)
{
  const std::span<const std::byte> left = payload(argument(fcinfo, 0));
  const std::span<const std::byte> right = payload(argument(fcinfo, 1));
  PG_RETURN_BOOL(left.size() == right.size() && std::memcmp(left.data(), right.data(), left.size()) == 0);
}

MERIDIAN_FUNCTION(meridian_merge_states)
{
  return meridian::pg::to_datum(meridian::pg::merge_bytes(payload(argument(fcinfo, 0)), payload(argument(fcinfo, 1))));
}

MERIDIAN_FUNCTION(meridian_compare_states)
{
  PG_RETURN_TEXT_P(
      cstring_to_text(meridian::pg::compare_bytes(payload(argument(fcinfo, 0)), payload(argument(fcinfo, 1)))));
}

MERIDIAN_FUNCTION(meridian_last_write)
{
  const auto last =
      meridian::pg::last_write_of(payload(argument(fcinfo, 0)), static_cast<std::uint32_t>(PG_GETARG_INT32(1)));
  if (last == 0) PG_RETURN_NULL();
  PG_RETURN_INT64(static_cast<std::int64_t>(last));
}

MERIDIAN_FUNCTION(meridian_knows_since)
{
  const auto stamp = static_cast<std::uint64_t>(std::max<std::int64_t>(PG_GETARG_INT64(1), 0));
  const std::span<const std::byte> bytes = payload(argument(fcinfo, 0));
  PG_RETURN_BOOL(meridian::decode(bytes).highest_stamp().value >= stamp);
}
