// Counts what a piece of code allocates: linking allocations.cpp replaces the global operator new.
#pragma once

#include <cstdint>

namespace meridian::bench {

/// Calls of operator new since the program began.
[[nodiscard]] std::uint64_t allocations() noexcept;

}  // namespace meridian::bench
