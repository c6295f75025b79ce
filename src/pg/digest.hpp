// A row's bytes in a form that is the same on every node, and their digests (core/digest.hpp).
//
// Independent of: the order of columns, dropped columns, the database's encoding, settings, oids, byte order. Generated
// columns stay out, as they do in the stream. The row state is part of the row: equal values with another history are a
// difference that a later merge would show.
#pragma once

#include "core/digest.hpp"
#include "pg/row_values.hpp"

namespace meridian::pg {

/// How the values of one column are written.
enum class PortableForm : std::uint8_t {
  integer,  ///< whatever fits into 64 bits and is the same everywhere
  real,     ///< one NaN; -0 is not 0, as in text
  numeric,
  bytes,
  uuid,
  text,   ///< in UTF-8
  output  ///< the type's text, in UTF-8; the SQL functions pin the settings that it may depend on
};

struct PortableColumn {
  AttrNumber attnum;
  PortableForm form;
  FmgrInfo output;  ///< of PortableForm::output
};

/// Made once for many rows, in the caller's memory context.
struct RowDigester {
  PortableColumn* columns;  ///< by name
  int column_count;
  PortableColumn* keys;  ///< in the order of the key
  int key_count;
  std::uint64_t seed;  ///< from the names of the columns
  StringInfoData buffer;
  MemoryContext row_context;  ///< reset for each row
};

RowDigester make_digester(Relation relation, const RowPlan* plan);

struct RowDigest {
  std::uint64_t key_hash;
  Digest digest;
};
/// `descriptor`: of the relation that the digester was made for.
RowDigest digest_row(RowDigester* digester, TupleDesc descriptor, const RowValues& row);

}  // namespace meridian::pg
