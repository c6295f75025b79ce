#include "core/flag.hpp"

#include "fuzz/type_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return meridian::fuzz::fuzz_type<meridian::Flag>(data, size);
}
