// From a Datum to the value of an event, by type. The common types are read where they lie; only types that events show
// as PostgreSQL prints them go through their output functions.
#pragma once

#include "core/cdc_buffer.hpp"
#include "core/cdc_modes.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// How to get at the values of a type. Plain data, so that it can be in a memory context.
struct ValueReader {
  enum class Access : uint8 {
    direct,   ///< passed by value or as a fixed-size struct
    packed,   ///< a varlena whose content is the value
    name,     ///< name
    letter,   ///< "char"
    printed,  ///< by the output function
    sent,     ///< by the binary output function
    number,   ///< by the output function, which prints a JSON number
  };
  cdc::Type type;
  Access access;
  bool has_cast;  ///< an explicit type of the mesh: shown as what it can be cast to
  FmgrInfo cast;
  FmgrInfo function;  ///< Access::printed, sent and number
  int16 length;       ///< of an element, if the type is an array
  bool by_value;
  char alignment;
  bool is_varlena;
};

/// Sets `reader` up for a column type; functions' data go to `context`. Looks at the catalog.
void prepare_reader(Oid type, int32 typmod, MemoryContext context, ValueReader* reader);

/// Writes a value that is not NULL and not an unlogged out-of-line one. May allocate in the current context.
void write_value(cdc::Buffer& out, const ValueReader& reader, const cdc::Modes& modes, Datum value);

/// The value as text, palloc'd: what hashes are made of.
char* text_of_value(Oid type, Datum value);

/// A value that is out of line and was not logged because the statement left it unchanged.
inline bool is_unlogged(bool is_varlena, Datum value) {
  return is_varlena && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
}

}  // namespace meridian::pg
