// The explicit types by kind, as bytes: for callers that meet a column and only then learn its type.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "core/type_codec.hpp"

namespace meridian {

/// `counter`, `gset`, ... or TypeKind::none.
[[nodiscard]] TypeKind type_kind(std::string_view name) noexcept;

/// Appends the canonical bytes of the merge of two states. Throws nothing on well-formed states.
void merge_values(TypeKind kind, std::span<const std::byte> left, std::span<const std::byte> right, Bytes& out);

/// Appends what a local write of `after` over `before` (empty: NULL, or a new row) leaves in the column: a state at or
/// above `before` that differs from it by operations of `actor` alone, with the value of `after`. Throws
/// Error(against_rule | out_of_range | limit_exceeded).
void absorb_value(TypeKind kind, std::span<const std::byte> before, std::span<const std::byte> after, Actor actor,
                  Bytes& out);

/// Refuses a local operation that makes a state too large (a smaller one than before is never refused).
void check_local_size(std::size_t before, std::size_t after);

}  // namespace meridian
