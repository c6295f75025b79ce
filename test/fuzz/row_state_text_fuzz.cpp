// Every text is refused, or is exactly what its state prints as; and bytes carry the same state.
#include "core/error.hpp"
#include "core/row_state_codec.hpp"
#include "fuzz/fuzz.hpp"

using namespace meridian;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::as_text(data, size);
  RowState state;
  try {
    state = parse_text(text);
  } catch (const Error&) {
    return 0;
  }
  fuzz::check(to_text(state) == text, "parsing then printing is the identity");
  Bytes bytes;
  try {
    encode(state, bytes);
  } catch (const Error& error) {
    fuzz::check(error.kind() == ErrorKind::limit_exceeded, "only size can keep a state from having bytes");
    return 0;
  }
  fuzz::check(decode({bytes.data(), bytes.size()}) == state, "bytes are lossless");
  return 0;
}
