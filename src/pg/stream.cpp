// SQL functions that read and write the names of streams.
#include "core/stream.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

int checked_count(int count) {
  if (count < 1 || count > max_streams) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("the number of streams must be between 1 and %d", max_streams)));
  }
  return count;
}

// Core lane.
void write_name(int member, Stream stream, NameData* name) {
  const std::string text = to_text(StreamName{member, stream});
  std::memset(NameStr(*name), 0, NAMEDATALEN);
  std::memcpy(NameStr(*name), text.data(), std::min<std::size_t>(text.size(), NAMEDATALEN - 1));
}

}  // namespace
}  // namespace meridian::pg

/// meridian.stream_of(name name, OUT member integer, OUT stream integer, OUT streams integer)
MERIDIAN_FUNCTION(meridian_stream_of)
{
  const auto name = meridian::parse_stream_name(NameStr(*PG_GETARG_NAME(0)));
  if (!name) PG_RETURN_NULL();
  Datum values[] = {Int32GetDatum(name->member), Int32GetDatum(name->stream.number), Int32GetDatum(name->stream.count)};
  bool nulls[] = {false, false, false};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(meridian::pg::result_row_type(fcinfo), values, nulls)));
}

/// meridian.stream_names(member integer, streams integer) returns name[]
MERIDIAN_FUNCTION(meridian_stream_names)
{
  using namespace meridian;
  const int member = PG_GETARG_INT32(0);
  const int count = pg::checked_count(PG_GETARG_INT32(1));
  auto* names = static_cast<NameData*>(palloc(sizeof(NameData) * count));
  Datum elements[max_streams];
  for (int i = 0; i < count; ++i) {
    pg::guarded([=] { pg::write_name(member, {i + 1, count}, &names[i]); });
    elements[i] = NameGetDatum(&names[i]);
  }
  PG_RETURN_ARRAYTYPE_P(construct_array(elements, count, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR));
}
