// A session table with memory of its own.
#pragma once

#include <memory>
#include <string>

#include "core/session_table.hpp"

namespace meridian::test {

class OwnedSessionTable : public SessionTable {
 public:
  explicit OwnedSessionTable(std::uint32_t sessions)
      : memory_(std::make_unique<Block[]>(bytes(sessions) / sizeof(Block) + 1)) {
    static_cast<SessionTable&>(*this) = SessionTable(memory_.get(), sessions);
    reset();
  }

  /// Makes all of it the authority.
  void begin_all(std::uint32_t timeline, const LastWrite& floor) {
    for (std::uint32_t i = 0; i < partitions(); ++i) begin(i, SessionRole::authority, timeline, floor);
  }

  [[nodiscard]] std::uint32_t total() const {
    std::uint32_t total = 0;
    for (std::uint32_t i = 0; i < partitions(); ++i) total += count(i);
    return total;
  }

 private:
  struct alignas(64) Block {
    std::byte bytes[64];
  };
  std::unique_ptr<Block[]> memory_;
};

inline SessionKey key_of(std::uint64_t number) { return session_key("user-" + std::to_string(number)); }

}  // namespace meridian::test
