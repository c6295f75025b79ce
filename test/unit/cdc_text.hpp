// What the tests of events share: what an encoder wrote, as a string.
#pragma once

#include <string>

#include "core/cdc_buffer.hpp"

namespace meridian::cdc {

template <typename Write>
std::string written(Write write) {
  Buffer out;
  write(out);
  return std::string(out.view());
}

}  // namespace meridian::cdc
