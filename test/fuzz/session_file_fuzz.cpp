// Bytes to which the right hash is added: refused and the table is untouched, or a table whose own file, read back, is
// the same table.
#include "core/session_file.hpp"

#include <cstring>
#include <vector>

#include "core/digest.hpp"
#include "fuzz/fuzz.hpp"

using namespace meridian;

namespace {

constexpr std::uint32_t places = 1000;

struct Table : SessionTable {
  explicit Table() : memory(new (std::align_val_t{64}) std::byte[bytes(places)]) {
    static_cast<SessionTable&>(*this) = SessionTable(memory, places);
    reset();
  }
  ~Table() { operator delete[](memory, std::align_val_t{64}); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  std::byte* memory;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The origin is taken from where the header has it, so that the fuzzer need not guess it.
  SessionFileOrigin origin{};
  if (size >= 32) {
    std::memcpy(&origin.timeline, data + 12, sizeof origin.timeline);
    std::memcpy(&origin.system_id, data + 16, sizeof origin.system_id);
    std::memcpy(&origin.checkpoint, data + 24, sizeof origin.checkpoint);
  }
  std::vector<std::uint8_t> file(data, data + size);
  const std::uint64_t hash = hash_bytes(std::as_bytes(std::span(file)));
  file.resize(size + sizeof hash);
  std::memcpy(file.data() + size, &hash, sizeof hash);

  Table table;
  if (!read_session_file(file, origin, table)) {
    fuzz::check(table.role(0) == SessionRole::nothing, "a refused file changes nothing");
    return 0;
  }
  std::vector<std::uint8_t> again(session_file_size(table, origin.timeline));
  fuzz::check(!again.empty(), "what was read is an authority");
  write_session_file(table, origin, again);
  Table second;
  fuzz::check(read_session_file(again, origin, second), "and can be written");
  for (std::uint32_t i = 0; i < table.partitions(); ++i) {
    fuzz::check(table.count(i) == second.count(i), "with the same sessions");
    table.for_each(i, [&second](const SessionEntry& entry) {
      const LastWrite read = second.last_write(session_key(name_in(entry.name)));
      fuzz::check(read == entry.write, "at the same positions");
    });
  }
  return 0;
}
