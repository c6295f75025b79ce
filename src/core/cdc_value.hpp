// Values of the remaining types as Debezium writes them, and what stands in for a value that is not there.
#pragma once

#include <string>
#include <string_view>

#include "core/cdc_buffer.hpp"
#include "core/cdc_modes.hpp"

namespace meridian::cdc {

/// bytea.
void write_bytes(Buffer& out, std::string_view bytes, BinaryMode mode);

/// 16 bytes to text with quotes.
void write_uuid(Buffer& out, std::string_view bytes);

/// bit(1) and varbit(1). `bits`: most significant first, as PostgreSQL stores them.
void write_bit(Buffer& out, std::string_view bits);

/// Longer bit strings: base64 of the number that they are, least significant byte first, zeros at the end cut.
void write_bits(Buffer& out, std::string_view bits, std::size_t count);

/// An object of both coordinates and their well-known binary.
void write_point(Buffer& out, double x, double y);

/// hstore in its binary form (hstore_send): a string that holds JSON, or an object. Throws Error (malformed_binary).
void write_hstore(Buffer& out, std::string_view sent, HstoreMode mode);

/// vector and halfvec in text form, `[1,2.5]`: numbers as Java prints them. Throws Error (malformed_text).
void write_vector(Buffer& out, std::string_view text, Kind kind);

/// sparsevec in text form, `{1:1.5,3:2}/5`. Throws Error (malformed_text).
void write_sparse_vector(Buffer& out, std::string_view text);

/// What stands for a value that an UPDATE left unchanged out of line, and that is in no tuple of the change.
[[nodiscard]] std::string placeholder(const Type& type, const Modes& modes, std::string_view text);

/// What Debezium takes for a NOT NULL column that a key-only tuple does not have: nothing, in the form of its type.
[[nodiscard]] std::string zero_value(const Type& type, const Modes& modes);

}  // namespace meridian::cdc
