// A row goes through three forms: values as they were sent, texts by column name (parked_row.hpp), values of the local
// table. Texts are what is parked; so a row that is brought at once and one that waited take the same way.
#include "pg/misfit.hpp"

#include "pg/catalog.hpp"
#include "pg/identity.hpp"
#include "pg/parked_row.hpp"
#include "pg/row_access.hpp"
#include "pg/support/attempt.hpp"

namespace meridian::pg {
namespace {

// The text of a value in binary form; null if the type does not take it. `memory` holds the result.
const char* text_of_binary(Oid type, std::string_view bytes, MemoryContext memory) {
  const char* text = nullptr;
  ErrorData* error = attempt([type, bytes, memory, &text] {
    StringInfoData buffer;
    initStringInfo(&buffer);
    appendBinaryStringInfo(&buffer, bytes.data(), static_cast<int>(bytes.size()));
    const Datum value = receive_value(type, -1, &buffer);
    Oid output = InvalidOid;
    bool is_varlena = false;
    getTypeOutputInfo(type, &output, &is_varlena);
    text = MemoryContextStrdup(memory, OidOutputFunctionCall(output, value));
  });
  if (error != nullptr && !is_misfit(error->sqlerrcode)) ReThrowError(error);
  return text;
}

// Types of others run the code of whoever made them, so they are read in the name of the table's owner or not at all.
bool may_read(const RemoteType& type, bool as_owner) {
  return as_owner || std::strcmp(type.schema, "pg_catalog") == 0 || std::strcmp(type.schema, "meridian") == 0;
}

SentValue sent_value(const RemoteColumn& column, const ColumnValue& value, bool as_owner) {
  SentValue sent = {column.name, value.bytes.data(), value.bytes.size(), nullptr, nullptr};
  if (value.form == ColumnValue::Form::null) sent.bytes = nullptr;
  if (value.form != ColumnValue::Form::binary) return sent;
  const RemoteType name = name_remote_type(column.type);
  const Oid type = may_read(name, as_owner) ? find_type(name.schema, name.name) : InvalidOid;
  const char* text = OidIsValid(type) ? text_of_binary(type, value.bytes, CurrentMemoryContext) : nullptr;
  if (text != nullptr) return {column.name, text, std::strlen(text), nullptr, nullptr};
  return {column.name, value.bytes.data(), value.bytes.size(), name.schema, name.name};
}

// The owner of the local table; none if it is not there, or not replicated.
const RowPlan* plan_of(const RemoteTable* table) {
  if (!table->is_ours || table->local == table_oid(Table::tombstone)) return nullptr;
  Relation relation = try_table_open(table->local, AccessShareLock);
  if (relation == nullptr) return nullptr;
  const RowPlan* plan = nullptr;
  ErrorData* error = attempt([relation, &plan] { plan = row_plan(relation); });
  if (error != nullptr && !is_misfit(error->sqlerrcode)) ReThrowError(error);
  table_close(relation, NoLock);
  return plan;
}

Datum texts_of(const RemoteTable* table, const InsertMessage& row) {
  const RowPlan* plan = plan_of(table);
  const OwnerSwitch caller = plan != nullptr ? become_owner(plan) : OwnerSwitch{};
  const int level = pin_settings();
  auto* values = static_cast<SentValue*>(palloc(sizeof(SentValue) * (row.column_count + std::size_t{1})));
  std::string_view rest = row.columns;
  for (int i = 0; i < row.column_count; ++i) {
    values[i] = sent_value(table->columns[i], take_column_value(&rest), plan != nullptr);
  }
  const Datum texts = sent_to_texts(values, row.column_count);
  unpin_settings(level);
  if (plan != nullptr) become_caller(caller);
  return texts;
}

}  // namespace

bool bring_or_park(RemoteTable* table, const InsertMessage& row) {
  const MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "meridian misfit", ALLOCSET_DEFAULT_SIZES);
  const MemoryContext caller = MemoryContextSwitchTo(memory);
  local_actor();  // a copy of a server must not take a member's changes for itself
  const SentTable name = table->name;
  Datum texts = 0;
  ErrorData* error = attempt([&] {
    MemoryContextSwitchTo(memory);
    texts = texts_of(table, row);
  });
  const bool is_readable = error == nullptr;
  if (!is_readable && (!table->fits || error->sqlerrcode != ERRCODE_PROGRAM_LIMIT_EXCEEDED)) ReThrowError(error);
  if (is_readable) error = attempt([name, texts] { bring_sent(name, texts); });
  if (is_readable && error != nullptr) {
    if (!is_misfit(error->sqlerrcode)) ReThrowError(error);
    park_misfit(name, texts, refusal_of(error));
    // More of them may follow.
    if (table->fits) become_careful(table->local);
  }
  MemoryContextSwitchTo(caller);
  MemoryContextDelete(memory);
  return is_readable;
}

}  // namespace meridian::pg
