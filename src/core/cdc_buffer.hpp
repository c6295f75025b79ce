// Growing buffer that events are written into: one per purpose and process, cleared for each event.
//
// A writer asks for room() once for all it may write, writes through the pointer, and says with advance() where it
// ended; so the loops that make up an event do not look at the capacity for every byte. clear() keeps the memory.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace meridian::cdc {

class Buffer {
 public:
  /// What PostgreSQL can send in one piece is a little less than 1 GiB.
  static constexpr std::size_t max_size = std::size_t{1020} << 20;

  /// Where to write next; at least `bytes` of room. Throws Error (limit_exceeded) beyond max_size.
  [[nodiscard]] char* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(bytes);
    return data_.get() + size_;
  }
  /// `end` is behind the last byte that was written to room().
  void advance(const char* end) noexcept { size_ = static_cast<std::size_t>(end - data_.get()); }

  void append(std::string_view text) {
    if (text.empty()) return;
    char* const to = room(text.size());
    std::memcpy(to, text.data(), text.size());
    size_ += text.size();
  }
  void append(char c) {
    *room(1) = c;
    ++size_;
  }

  void clear() noexcept { size_ = 0; }
  /// Cuts off what was written after the buffer had this size.
  void truncate(std::size_t size) noexcept { size_ = size; }
  /// clear(), and gives memory back that only one unusually large event needed.
  void clear_large() noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::string_view view() const noexcept { return {data_.get(), size_}; }

 private:
  void grow(std::size_t bytes);

  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace meridian::cdc
