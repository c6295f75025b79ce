// The name of a stream: refused, or it is the one way to write what it says.
#include "core/stream.hpp"
#include "fuzz/fuzz.hpp"

using namespace meridian;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::as_text(data, size);
  const auto name = parse_stream_name(text);
  if (!name) return 0;
  fuzz::check(to_text(*name) == text, "names are canonical");
  fuzz::check(name->member >= 1 && name->member <= 65535, "the member has a number");
  fuzz::check(name->stream.number >= 1 && name->stream.number <= name->stream.count, "the stream is one of its count");
  fuzz::check(name->stream.count <= max_streams, "there are no more than there may be");
  return 0;
}
