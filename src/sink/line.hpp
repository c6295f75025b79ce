// An event as a line of JSON, for targets that take lines.
#pragma once

#include <string>

#include "sink/event.hpp"

namespace meridian::sink {

/// `{"topic":"...","position":"...","key":{...},"value":{...},"headers":{...}}` and a newline; the value of a tombstone
/// is null, and headers are left out where there are none.
[[nodiscard]] std::string line_of(const SinkEvent& event);

}  // namespace meridian::sink
