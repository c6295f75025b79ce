#include "core/session_file.hpp"

#include <algorithm>
#include <cstring>

#include "core/digest.hpp"

namespace meridian {
namespace {

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t timeline;
  std::uint64_t system_id;
  std::uint64_t checkpoint;
  LastWrite floor;  ///< the largest of all partitions: their number may change with a setting
  std::uint64_t sessions;
};
static_assert(sizeof(Header) == 56);

constexpr char magic[8] = {'M', 'E', 'R', 'I', 'S', 'E', 'S', 'S'};
constexpr std::uint32_t version = 1;
constexpr std::size_t hash_size = sizeof(std::uint64_t);
/// Bytes of a session apart from its name.
constexpr std::size_t session_overhead = sizeof(LastWrite) + 1;

std::uint64_t hash_of(std::span<const std::uint8_t> bytes) noexcept { return hash_bytes(std::as_bytes(bytes)); }

/// A session in a file.
struct Record {
  LastWrite write;
  std::string_view name;
};

/// Takes the next record off `bytes`; false if there is none that is sound.
bool read_record(std::span<const std::uint8_t>& bytes, Record& record) noexcept {
  if (bytes.size() < session_overhead) return false;
  std::memcpy(&record.write, bytes.data(), sizeof record.write);
  const std::size_t length = bytes[sizeof record.write];
  bytes = bytes.subspan(session_overhead);
  if (bytes.size() < length) return false;
  record.name = {reinterpret_cast<const char*>(bytes.data()), length};
  bytes = bytes.subspan(length);
  return record.write.lsn != 0 && is_session_name(record.name);
}

bool are_sound(std::span<const std::uint8_t> records, std::uint64_t count) noexcept {
  Record record;
  // Every record takes bytes, so this ends whatever the count is.
  for (; count > 0; --count) {
    if (!read_record(records, record)) return false;
  }
  return records.empty();
}

}  // namespace

std::size_t session_file_size(const SessionTable& table, std::uint32_t timeline) noexcept {
  if (table.partitions() == 0) return 0;
  std::size_t size = sizeof(Header) + hash_size;
  for (std::uint32_t i = 0; i < table.partitions(); ++i) {
    if (!table.is(i, SessionRole::authority, timeline)) return 0;
    table.for_each(i, [&size](const SessionEntry& entry) { size += session_overhead + name_in(entry.name).size(); });
  }
  return size;
}

void write_session_file(const SessionTable& table, const SessionFileOrigin& origin,
                        std::span<std::uint8_t> to) noexcept {
  Header header{{}, version, origin.timeline, origin.system_id, origin.checkpoint, {}, 0};
  std::copy_n(magic, sizeof magic, header.magic);
  std::uint8_t* at = to.data() + sizeof header;
  for (std::uint32_t i = 0; i < table.partitions(); ++i) {
    const LastWrite floor = table.floor(i);
    header.floor = {std::max(header.floor.lsn, floor.lsn), std::max(header.floor.time, floor.time)};
    table.for_each(i, [&at, &header](const SessionEntry& entry) {
      const std::string_view name = name_in(entry.name);
      std::memcpy(at, &entry.write, sizeof entry.write);
      at[sizeof entry.write] = static_cast<std::uint8_t>(name.size());
      at = std::copy(name.begin(), name.end(), at + session_overhead);
      ++header.sessions;
    });
  }
  std::memcpy(to.data(), &header, sizeof header);
  const std::uint64_t hash = hash_of(to.first(to.size() - hash_size));
  std::memcpy(at, &hash, hash_size);
}

bool read_session_file(std::span<const std::uint8_t> file, const SessionFileOrigin& origin,
                       SessionTable& table) noexcept {
  if (table.partitions() == 0 || file.size() < sizeof(Header) + hash_size) return false;
  Header header;
  std::uint64_t hash = 0;
  std::memcpy(&header, file.data(), sizeof header);
  std::memcpy(&hash, file.data() + file.size() - hash_size, hash_size);
  const SessionFileOrigin written{header.system_id, header.checkpoint, header.timeline};
  std::span<const std::uint8_t> records = file.subspan(sizeof header, file.size() - sizeof header - hash_size);
  const bool sound = std::memcmp(header.magic, magic, sizeof magic) == 0 && header.version == version &&
                     written == origin && hash_of(file.first(file.size() - hash_size)) == hash &&
                     are_sound(records, header.sessions);
  if (!sound) return false;
  for (std::uint32_t i = 0; i < table.partitions(); ++i) table.begin(i, SessionRole::authority, origin.timeline, {});
  Record record;
  while (read_record(records, record)) table.note(session_key(record.name), record.write);
  // After the sessions: who is noted below the floor is lifted to it.
  for (std::uint32_t i = 0; i < table.partitions(); ++i) table.raise_floor(i, header.floor);
  return true;
}

}  // namespace meridian
