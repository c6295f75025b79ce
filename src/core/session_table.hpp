// Which session wrote last where: a bounded hash table in memory that its processes share.
//
// A session is a name that the application gives. The table is split into partitions, each with a lock that belongs to
// the caller: whoever uses a partition holds it. Nothing allocates, throws or calls anything.
//
// Memory: the partitions, then the heads of the hash chains, then the entries. A partition hands out its entries from
// the front, and again from a list of those that became free. When none is left, of a few neighbours the one that wrote
// least recently gives way.
//
// The *floor* of a partition is the largest position of anything that was dropped from it. So a session that is not in
// the table has written at the floor at the latest, and is answered with it: exact enough, and never too early. Of a
// partition that belongs to the authority, at any time:
//   entry of s there:  entry >= every write of s that was noted
//   no entry of s:     floor >= every write of s that was noted
//
// The *mirror* of a standby holds what a primary has said. It is no authority: it may lack anything, so it has no
// floor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace meridian {

inline constexpr std::size_t max_session_name = 64;

/// Whether the text can name a session: 1 to 64 printable ASCII characters, as for application_name. Other characters
/// would mean different sessions in databases of different encoding.
[[nodiscard]] bool is_session_name(std::string_view name) noexcept;

/// A name with its hash, so that this is computed once.
struct SessionKey {
  std::uint64_t hash;
  char name[max_session_name];  ///< zeros behind the name
};

/// The key of a name that is_session_name().
[[nodiscard]] SessionKey session_key(std::string_view name) noexcept;

/// The name in a key or an entry.
[[nodiscard]] std::string_view name_in(const char (&name)[max_session_name]) noexcept;

/// Where and when a session wrote last.
struct LastWrite {
  std::uint64_t lsn;  ///< end of the commit record; not 0 in an entry
  std::int64_t time;  ///< the caller's clock, microseconds

  friend bool operator==(const LastWrite&, const LastWrite&) = default;
};

struct SessionEntry {
  LastWrite write;     ///< lsn 0: free
  std::uint32_t hash;  ///< the lower half, which chooses the chain
  std::uint32_t next;  ///< of the chain, or of the free entries
  char name[max_session_name];
};

enum class SessionRole : std::uint32_t { nothing, mirror, authority };

/// What a sweep drops.
struct SessionExpiry {
  std::int64_t before;         ///< whatever was written before
  std::int64_t passed_before;  ///< what was written before and at or below `passed`
  std::uint64_t passed;
};

class SessionTable {
 public:
  static constexpr std::uint32_t max_partitions = 128;
  static constexpr std::uint32_t none = UINT32_MAX;

  /// What a sweep did.
  struct Sweep {
    std::uint32_t next;  ///< where the next one begins; 0: all have been seen
    std::uint32_t dropped;
  };

  /// How many partitions a table of so many sessions has: enough for writers not to meet, few enough for chance not to
  /// fill one long before the others.
  static std::uint32_t partitions_for(std::uint32_t sessions) noexcept;
  /// Bytes that a table of at least so many sessions needs.
  static std::size_t bytes(std::uint32_t sessions) noexcept;

  /// A table without memory, which has no partition.
  SessionTable() = default;
  /// `memory`: bytes(sessions) of it, aligned to 64.
  SessionTable(void* memory, std::uint32_t sessions) noexcept;
  /// Makes the memory a table that holds nothing. Once, before anybody uses it.
  void reset() noexcept;

  [[nodiscard]] std::uint32_t partitions() const noexcept { return partition_count_; }
  /// Sessions that one partition can hold.
  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::uint32_t partition_of(const SessionKey& key) const noexcept {
    return static_cast<std::uint32_t>((key.hash >> 32) * partition_count_ >> 32);
  }

  [[nodiscard]] bool is(std::uint32_t partition, SessionRole role, std::uint32_t timeline) const noexcept {
    return partitions_[partition].role == role && partitions_[partition].timeline == timeline;
  }
  [[nodiscard]] SessionRole role(std::uint32_t partition) const noexcept { return partitions_[partition].role; }
  [[nodiscard]] std::uint32_t timeline(std::uint32_t partition) const noexcept {
    return partitions_[partition].timeline;
  }
  /// Drops all that the partition holds, and begins anew in this role. `floor`: where sessions may have written that
  /// the table has not heard of; for the authority.
  void begin(std::uint32_t partition, SessionRole role, std::uint32_t timeline, const LastWrite& floor) noexcept;

  [[nodiscard]] LastWrite floor(std::uint32_t partition) const noexcept { return partitions_[partition].floor; }
  void raise_floor(std::uint32_t partition, const LastWrite& by) noexcept;
  [[nodiscard]] std::uint32_t count(std::uint32_t partition) const noexcept { return partitions_[partition].count; }

  /// Notes a write; writes may be noted in any order. True if another session had to give way.
  bool note(const SessionKey& key, const LastWrite& write) noexcept;
  /// Null if it is not there.
  [[nodiscard]] const SessionEntry* find(const SessionKey& key) const noexcept;
  /// At or above every write of the session that was noted: its entry, or else the floor.
  [[nodiscard]] LastWrite last_write(const SessionKey& key) const noexcept;
  /// Drops a session. False if it was not there.
  bool forget(const SessionKey& key) noexcept;
  /// Drops what has expired among the next `steps` entries from number `from`.
  Sweep sweep(std::uint32_t partition, std::uint32_t from, std::uint32_t steps, const SessionExpiry& expiry) noexcept;

  /// Calls `visit(const SessionEntry&)` for every session of the partition.
  template <typename Visit>
  void for_each(std::uint32_t partition, Visit visit) const {
    const std::size_t first = std::size_t{partition} * capacity_;
    for (std::uint32_t i = 0; i < partitions_[partition].used; ++i) {
      if (entries_[first + i].write.lsn != 0) visit(entries_[first + i]);
    }
  }

 private:
  struct alignas(64) Partition {
    SessionRole role;
    std::uint32_t timeline;
    LastWrite floor;
    std::uint32_t count;  ///< sessions in it
    std::uint32_t used;   ///< entries in front that were handed out at least once
    std::uint32_t free;   ///< first of these that is free; none
    std::uint32_t hand;   ///< where the next search for one to give way begins
  };

  [[nodiscard]] std::uint32_t* head_of(std::uint32_t partition, std::uint32_t hash) const noexcept;
  [[nodiscard]] SessionEntry* entries_of(std::uint32_t partition) const noexcept {
    return entries_ + std::size_t{partition} * capacity_;
  }
  std::uint32_t take_entry(std::uint32_t partition, bool* gave_way) noexcept;
  [[nodiscard]] std::uint32_t least_recent(std::uint32_t partition) noexcept;
  void drop(std::uint32_t partition, std::uint32_t index) noexcept;

  Partition* partitions_ = nullptr;
  std::uint32_t* heads_ = nullptr;
  SessionEntry* entries_ = nullptr;
  std::uint32_t partition_count_ = 0;
  std::uint32_t capacity_ = 0;
};

}  // namespace meridian
