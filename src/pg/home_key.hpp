// Keys of any type as the text by which their home is found: the same text on every server.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// How values of one type become text.
struct KeyFormat {
  Oid type;
  FmgrInfo output;
  bool by_settings;  ///< the text depends on settings of the session, which are pinned for it
};

/// Longest key that the directory can hold, bytes of UTF-8.
inline constexpr std::size_t longest_key = 1000;

/// Prepares a format; what it allocates lives in `context`.
void init_key_format(KeyFormat* format, Oid type, MemoryContext context);

/// The text in UTF-8, palloc'd or part of the value.
std::string_view key_text(KeyFormat* format, Datum value);

/// A text of the server's encoding in UTF-8.
std::string_view portable_text(std::string_view text);

}  // namespace meridian::pg
