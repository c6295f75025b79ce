#include "core/session_table.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include "core/digest.hpp"

namespace meridian {
namespace {

/// From so many sessions on there is another partition.
constexpr std::uint32_t sessions_per_partition = 256;
/// Among so many the one that gives way is chosen.
constexpr std::uint32_t candidates = 8;

void raise(LastWrite& to, const LastWrite& by) noexcept {
  to.lsn = std::max(to.lsn, by.lsn);
  to.time = std::max(to.time, by.time);
}

std::uint32_t capacity_for(std::uint32_t sessions, std::uint32_t partitions) noexcept {
  return partitions == 0 ? 0 : (sessions + partitions - 1) / partitions;
}

}  // namespace

bool is_session_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= max_session_name &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

SessionKey session_key(std::string_view name) noexcept {
  SessionKey key{};
  std::copy(name.begin(), name.end(), key.name);
  key.hash = hash_bytes(std::as_bytes(std::span(name)));
  return key;
}

std::string_view name_in(const char (&name)[max_session_name]) noexcept {
  return {name, static_cast<std::size_t>(std::find(name, name + max_session_name, '\0') - name)};
}

std::uint32_t SessionTable::partitions_for(std::uint32_t sessions) noexcept {
  if (sessions == 0) return 0;
  return std::clamp(sessions / sessions_per_partition, 1U, max_partitions);
}

std::size_t SessionTable::bytes(std::uint32_t sessions) noexcept {
  const std::uint32_t partitions = partitions_for(sessions);
  const std::size_t entries = std::size_t{partitions} * capacity_for(sessions, partitions);
  return partitions * sizeof(Partition) + entries * (sizeof(SessionEntry) + sizeof(std::uint32_t)) +
         alignof(SessionEntry);
}

SessionTable::SessionTable(void* memory, std::uint32_t sessions) noexcept
    : partitions_(static_cast<Partition*>(memory)),
      partition_count_(partitions_for(sessions)),
      capacity_(capacity_for(sessions, partition_count_)) {
  const std::size_t count = std::size_t{partition_count_} * capacity_;
  heads_ = reinterpret_cast<std::uint32_t*>(partitions_ + partition_count_);
  // Aligned as the entries want it.
  entries_ = reinterpret_cast<SessionEntry*>(heads_ + (count + 1) / 2 * 2);
}

void SessionTable::reset() noexcept {
  for (std::uint32_t i = 0; i < partition_count_; ++i) begin(i, SessionRole::nothing, 0, {});
}

void SessionTable::begin(std::uint32_t partition, SessionRole role, std::uint32_t timeline,
                         const LastWrite& floor) noexcept {
  partitions_[partition] = {role, timeline, floor, 0, 0, none, 0};
  std::fill_n(heads_ + std::size_t{partition} * capacity_, capacity_, none);
}

void SessionTable::raise_floor(std::uint32_t partition, const LastWrite& by) noexcept {
  raise(partitions_[partition].floor, by);
}

std::uint32_t* SessionTable::head_of(std::uint32_t partition, std::uint32_t hash) const noexcept {
  return heads_ + std::size_t{partition} * capacity_ + (std::uint64_t{hash} * capacity_ >> 32);
}

const SessionEntry* SessionTable::find(const SessionKey& key) const noexcept {
  const std::uint32_t partition = partition_of(key);
  const auto hash = static_cast<std::uint32_t>(key.hash);
  const SessionEntry* const entries = entries_of(partition);
  for (std::uint32_t i = *head_of(partition, hash); i != none; i = entries[i].next) {
    if (entries[i].hash == hash && std::memcmp(entries[i].name, key.name, max_session_name) == 0) return &entries[i];
  }
  return nullptr;
}

LastWrite SessionTable::last_write(const SessionKey& key) const noexcept {
  const SessionEntry* const entry = find(key);
  return entry != nullptr ? entry->write : floor(partition_of(key));
}

bool SessionTable::note(const SessionKey& key, const LastWrite& write) noexcept {
  if (const SessionEntry* const known = find(key)) {
    raise(const_cast<SessionEntry*>(known)->write, write);
    return false;
  }
  const std::uint32_t partition = partition_of(key);
  // A later write of this session may have been noted and dropped already.
  const LastWrite dropped = floor(partition);
  bool gave_way = false;
  const std::uint32_t index = take_entry(partition, &gave_way);
  SessionEntry& entry = entries_of(partition)[index];
  std::uint32_t* const head = head_of(partition, static_cast<std::uint32_t>(key.hash));
  entry.write = write;
  if (dropped.lsn > write.lsn) raise(entry.write, dropped);
  entry.hash = static_cast<std::uint32_t>(key.hash);
  std::copy_n(key.name, max_session_name, entry.name);
  entry.next = *head;
  *head = index;
  ++partitions_[partition].count;
  return gave_way;
}

/// An entry outside the chains and the list of free ones.
std::uint32_t SessionTable::take_entry(std::uint32_t partition, bool* gave_way) noexcept {
  Partition& part = partitions_[partition];
  *gave_way = part.free == none && part.used == capacity_;
  if (*gave_way) drop(partition, least_recent(partition));
  if (part.free == none) return part.used++;
  const std::uint32_t index = part.free;
  part.free = entries_of(partition)[index].next;
  return index;
}

/// Of a full partition: the one of a few neighbours whose position is the smallest, so the floor rises least.
std::uint32_t SessionTable::least_recent(std::uint32_t partition) noexcept {
  Partition& part = partitions_[partition];
  const SessionEntry* const entries = entries_of(partition);
  std::uint32_t found = part.hand;
  for (std::uint32_t i = 0; i < std::min(candidates, capacity_); ++i) {
    if (entries[part.hand].write.lsn < entries[found].write.lsn) found = part.hand;
    part.hand = part.hand + 1 == capacity_ ? 0 : part.hand + 1;
  }
  return found;
}

void SessionTable::drop(std::uint32_t partition, std::uint32_t index) noexcept {
  Partition& part = partitions_[partition];
  SessionEntry* const entries = entries_of(partition);
  SessionEntry& entry = entries[index];
  std::uint32_t* link = head_of(partition, entry.hash);
  while (*link != index) link = &entries[*link].next;
  *link = entry.next;
  if (part.role == SessionRole::authority) raise_floor(partition, entry.write);
  entry.write = {};
  entry.next = part.free;
  part.free = index;
  --part.count;
}

bool SessionTable::forget(const SessionKey& key) noexcept {
  const SessionEntry* const entry = find(key);
  if (entry == nullptr) return false;
  const std::uint32_t partition = partition_of(key);
  drop(partition, static_cast<std::uint32_t>(entry - entries_of(partition)));
  return true;
}

SessionTable::Sweep SessionTable::sweep(std::uint32_t partition, std::uint32_t from, std::uint32_t steps,
                                        const SessionExpiry& expiry) noexcept {
  const std::uint32_t used = partitions_[partition].used;
  const SessionEntry* const entries = entries_of(partition);
  Sweep sweep{0, 0};
  std::uint32_t i = from;
  for (; i < used && i - from < steps; ++i) {
    const LastWrite& write = entries[i].write;
    const bool passed = write.lsn <= expiry.passed && write.time < expiry.passed_before;
    if (write.lsn == 0 || (write.time >= expiry.before && !passed)) continue;
    drop(partition, i);
    ++sweep.dropped;
  }
  sweep.next = i < used ? i : 0;
  return sweep;
}

}  // namespace meridian
