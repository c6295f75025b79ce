// SQL functions around the events of meridian_cdc: frames, positions and options. The streams themselves are SQL
// (sql/90_streams.sql), the events are made by the plugin (src/plugin).
#include "core/cdc_event.hpp"
#include "core/cdc_options.hpp"
#include "core/error.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

/// A view's bytes as text; NULL if there is none.
Datum text_or_null(const std::optional<std::string_view>& view, bool* is_null) {
  *is_null = !view;
  return view ? PointerGetDatum(cstring_to_text_with_len(view->data(), static_cast<int>(view->size()))) : Datum{0};
}

/// Names and values of options in turn.
struct Words {
  const std::string_view* words;
  int count;
};

Words words_of(ArrayType* array) {
  Datum* elements = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
  if (count % 2 != 0) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("an option has no value")));
  }
  auto* words =
      static_cast<std::string_view*>(palloc0(sizeof(std::string_view) * (static_cast<std::size_t>(count) + 1)));
  for (int i = 0; i < count; ++i) {
    if (!nulls[i]) words[i] = text_view(DatumGetTextPP(elements[i]));
  }
  return {words, count};
}

/// Core lane.
cdc::Options parse_options(const Words& words) {
  cdc::Options options;
  for (int i = 0; i < words.count; i += 2) cdc::set_option(options, words.words[i], words.words[i + 1]);
  return options;
}

/// Core lane.
void check_options(const Words& words) {
  for (int i = 0; i < words.count; i += 2) {
    if (cdc::is_stream_option(words.words[i])) continue;
    throw Error(ErrorKind::invalid_rule, "option " + std::string(words.words[i]) + " cannot be given to a stream",
                "read_changes() sets it.");
  }
  cdc::check_options(parse_options(words));
}

}  // namespace
}  // namespace meridian::pg

/// meridian.event_parts(frame text, OUT position text, OUT topic text, OUT key text, OUT value text, OUT headers text)
MERIDIAN_FUNCTION(meridian_event_parts)
{
  using namespace meridian;
  const std::string_view frame = pg::text_view(PG_GETARG_TEXT_PP(0));
  const auto event = cdc::decode_event(frame);
  if (!event) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION), errmsg("this is no event of meridian_cdc"),
                    errhint("Read the slot with option format = event.")));
  }
  // The position is in the frame as it is to be shown, and behind it the end of the transaction, if this is its end.
  const std::string_view header = frame.substr(2, frame.find('\n') - 2);
  const std::size_t length = header.find(' ');
  StringInfoData position;
  initStringInfo(&position);
  appendBinaryStringInfo(&position, header.data(), static_cast<int>(length));
  if (event->end_lsn != 0) {
    const std::string_view rest = header.substr(length + 1);
    appendStringInfoChar(&position, ',');
    appendBinaryStringInfo(&position, rest.data(), static_cast<int>(rest.find(' ')));
  }
  Datum values[5];
  bool nulls[5] = {};
  values[0] = PointerGetDatum(cstring_to_text_with_len(position.data, position.len));
  values[1] = pg::text_or_null(event->topic, &nulls[1]);
  values[2] = pg::text_or_null(event->key, &nulls[2]);
  values[3] = pg::text_or_null(event->value, &nulls[3]);
  values[4] = pg::text_or_null(event->headers, &nulls[4]);
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(pg::result_row_type(fcinfo), values, nulls)));
}

/// meridian.position_parts(position text, OUT commit_lsn pg_lsn, OUT change_lsn pg_lsn, OUT event_index bigint, OUT
/// end_lsn pg_lsn)
MERIDIAN_FUNCTION(meridian_position_parts)
{
  using namespace meridian;
  const std::string_view position = pg::text_view(PG_GETARG_TEXT_PP(0));
  const auto parsed = cdc::parse_position(position);
  if (!parsed || parsed->position.index > static_cast<std::uint64_t>(PG_INT64_MAX)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                    errmsg("\"%s\" is not the position of an event", text_to_cstring(PG_GETARG_TEXT_PP(0))),
                    errhint("Use the column position of meridian.read_changes() as it is.")));
  }
  Datum values[] = {LSNGetDatum(parsed->position.commit_lsn), LSNGetDatum(parsed->position.lsn),
                    Int64GetDatum(static_cast<int64>(parsed->position.index)), LSNGetDatum(parsed->end_lsn)};
  bool nulls[] = {false, false, false, parsed->end_lsn == 0};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(pg::result_row_type(fcinfo), values, nulls)));
}

/// meridian.check_stream_options(options text[])
MERIDIAN_FUNCTION(meridian_check_stream_options)
{
  using namespace meridian;
  const pg::Words words = pg::words_of(PG_GETARG_ARRAYTYPE_P(0));
  pg::guarded([=] { pg::check_options(words); });
  PG_RETURN_VOID();
}

/// meridian.stream_wants_table(options text[], schema_name text, table_name text)
MERIDIAN_FUNCTION(meridian_stream_wants_table)
{
  using namespace meridian;
  const pg::Words words = pg::words_of(PG_GETARG_ARRAYTYPE_P(0));
  const std::string_view schema = pg::text_view(PG_GETARG_TEXT_PP(1));
  const std::string_view table = pg::text_view(PG_GETARG_TEXT_PP(2));
  const bool wanted = pg::guarded([=] { return pg::parse_options(words).wants_table(schema, table); });
  PG_RETURN_BOOL(wanted);
}
