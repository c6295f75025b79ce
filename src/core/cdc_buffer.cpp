#include "core/cdc_buffer.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace meridian::cdc {
namespace {

constexpr std::size_t kept_size = std::size_t{1} << 20;

}  // namespace

void Buffer::grow(std::size_t bytes) {
  if (bytes > max_size || size_ > max_size - bytes) {
    throw Error(ErrorKind::limit_exceeded, "an event is larger than 1 GB",
                "Leave the column with the large value out: option exclude_columns.");
  }
  const std::size_t capacity = std::min(max_size, std::max({size_ + bytes, 2 * capacity_, std::size_t{1024}}));
  std::unique_ptr<char[]> data(new char[capacity]);
  if (size_ > 0) std::memcpy(data.get(), data_.get(), size_);
  data_ = std::move(data);
  capacity_ = capacity;
}

void Buffer::clear_large() noexcept {
  size_ = 0;
  if (capacity_ <= kept_size) return;
  data_.reset();
  capacity_ = 0;
}

}  // namespace meridian::cdc
