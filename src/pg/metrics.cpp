// meridian.metrics(): what meridian.metric_samples() finds, in Prometheus' text format (core/prometheus.hpp).
#include "core/prometheus.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

constexpr char query[] = "SELECT name, kind, help, labels, value FROM meridian.metric_samples()";
namespace column {
enum : int { name = 1, kind, help, labels, value };
}

struct Sample {
  const char* name;
  const char* kind;
  const char* help;
  int label_count;
  MetricLabel* labels;
  double value;
};

char* text_of(HeapTuple row, TupleDesc columns, int number) {
  bool is_null = false;
  const Datum datum = SPI_getbinval(row, columns, number, &is_null);
  return is_null ? pstrdup("") : TextDatumGetCString(datum);
}

/// Labels are an array: name, value, name, value, ...
void read_labels(HeapTuple row, TupleDesc columns, Sample* sample) {
  bool is_null = false;
  const Datum array = SPI_getbinval(row, columns, column::labels, &is_null);
  if (is_null) return;
  Datum* texts = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &count);
  sample->labels = static_cast<MetricLabel*>(palloc(sizeof(MetricLabel) * (static_cast<Size>(count / 2) + 1)));
  for (int i = 0; i + 1 < count; i += 2) {
    const char* const name = nulls[i] ? "" : TextDatumGetCString(texts[i]);
    const char* const value = nulls[i + 1] ? "" : TextDatumGetCString(texts[i + 1]);
    sample->labels[sample->label_count++] = {name, value};
  }
}

Sample read_sample(HeapTuple row, TupleDesc columns) {
  bool is_null = false;
  Sample sample{text_of(row, columns, column::name),
                text_of(row, columns, column::kind),
                text_of(row, columns, column::help),
                0,
                nullptr,
                DatumGetFloat8(SPI_getbinval(row, columns, column::value, &is_null))};
  if (is_null) sample.value = std::numeric_limits<double>::quiet_NaN();
  read_labels(row, columns, &sample);
  return sample;
}

/// Core lane, but for the copy of the result.
text* write_text(const Sample* samples, std::size_t count) {
  PrometheusText out;
  std::string_view family;
  for (const Sample& each : std::span(samples, count)) {
    if (family != each.name) out.family(each.name, each.kind, each.help);
    family = each.name;
    out.sample({each.labels, static_cast<std::size_t>(each.label_count)}, each.value);
  }
  const char* const bytes = out.text().data();
  const int size = static_cast<int>(out.text().size());
  return call([bytes, size] { return cstring_to_text_with_len(bytes, size); });
}

}  // namespace
}  // namespace meridian::pg

/// meridian.metrics() returns text
MERIDIAN_FUNCTION(meridian_metrics)
{
  using namespace meridian::pg;
  const MemoryContext caller = CurrentMemoryContext;
  SPI_connect();
  if (const int outcome = SPI_execute(query, true, 0); outcome != SPI_OK_SELECT)
    elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(outcome));
  const auto count = static_cast<std::size_t>(SPI_processed);
  auto* const samples = static_cast<Sample*>(palloc(sizeof(Sample) * (count + 1)));
  for (std::size_t i = 0; i < count; ++i) samples[i] = read_sample(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
  MemoryContextSwitchTo(caller);
  text* const result = guarded([samples, count] { return write_text(samples, count); });
  SPI_finish();
  PG_RETURN_TEXT_P(result);
}
