#include "plugin/cdc_row.hpp"

#include "core/cdc_json.hpp"

namespace meridian::pg {
namespace {

/// Fields begin with a comma; the first one's becomes the brace.
void close_object(cdc::Buffer& out, std::size_t begin) {
  if (out.size() == begin) return out.append("{}");
  char* const brace = out.room(1) - (out.size() - begin);
  *brace = '{';
  out.append('}');
}

/// The text that a hash is made of: numbers and the like as PostgreSQL prints them.
void write_hashed(cdc::Buffer& out, const PlannedColumn& column, const cdc::Options& options, Datum value) {
  cdc::write_hash(out, options.hash_salt, text_of_value(column.type, value));
}

void write_field(cdc::Buffer& out, const Plan& plan, const cdc::Options& options, int place, const Row& row,
                 const Row* old) {
  const cdc::Column& shown = plan.table->columns[static_cast<std::size_t>(place)];
  const PlannedColumn& column = plan.columns[place];
  out.append(shown.field);
  if (shown.mask == cdc::Mask::text) return out.append(shown.masked);
  if (row.nulls[place]) return out.append(cdc::json_null);
  Datum value = row.values[place];
  if (is_unlogged(column.reader.is_varlena, value)) {
    if (old == nullptr || old->nulls[place] || is_unlogged(true, old->values[place])) {
      return out.append(shown.placeholder);
    }
    value = old->values[place];
  }
  if (shown.mask == cdc::Mask::hash) return write_hashed(out, column, options, value);
  write_value(out, column.reader, options.modes, value);
}

}  // namespace

void write_new_row(cdc::Buffer& out, const Plan& plan, const cdc::Options& options, const Row& row, const Row* old) {
  const std::size_t begin = out.size();
  for (const int place : plan.table->row) write_field(out, plan, options, place, row, old);
  close_object(out, begin);
}

void write_old_row(cdc::Buffer& out, const Plan& plan, const cdc::Options& options, const Row& row) {
  const std::size_t begin = out.size();
  for (const int place : plan.table->row) {
    if (plan.columns[place].is_in_identity) {
      write_field(out, plan, options, place, row, nullptr);
    } else if (options.before_fill != cdc::BeforeFill::key_only) {
      const cdc::Column& shown = plan.table->columns[static_cast<std::size_t>(place)];
      out.append(shown.field);
      out.append(shown.fill);
    }
  }
  close_object(out, begin);
}

void write_key(cdc::Buffer& out, const Plan& plan, const cdc::Options& options, const Row& row, const Row* old) {
  const std::size_t begin = out.size();
  for (const int place : plan.table->key) write_field(out, plan, options, place, row, old);
  close_object(out, begin);
}

}  // namespace meridian::pg
