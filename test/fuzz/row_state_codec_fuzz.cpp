// Every byte string is refused, or is exactly what its state encodes to; text carries the same state, and the short cut
// for quiet states reads the same.
#include <algorithm>

#include "core/error.hpp"
#include "core/quiet_state.hpp"
#include "core/row_state_codec.hpp"
#include "fuzz/fuzz.hpp"

using namespace meridian;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = fuzz::as_bytes(data, size);
  RowState state;
  QuietState quiet;
  const bool is_quiet = read_quiet(bytes, quiet);
  try {
    state = decode(bytes);
  } catch (const Error&) {
    fuzz::check(!is_quiet, "what is malformed is not quiet");
    return 0;
  }
  if (is_quiet) fuzz::check(quiet.highest_stamp() == state.highest_stamp(), "a quiet state is read as it is");
  Bytes again;
  encode(state, again);
  fuzz::check(std::ranges::equal(bytes, again), "decoding then encoding is the identity");
  try {
    fuzz::check(parse_text(to_text(state)) == state, "text is lossless");
  } catch (const Error& error) {
    fuzz::check(error.kind() == ErrorKind::limit_exceeded, "only size can keep a state from having a text");
  }
  return 0;
}
