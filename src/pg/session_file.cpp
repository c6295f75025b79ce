// Only the postmaster runs this, when no other process exists: no lock is taken. Nothing here may raise on the way
// down: what goes wrong leaves no file, and sessions that are unknown are answered conservatively.
//
// The control file tells whether a shutdown was clean (an immediate one also ends with code 0), and which checkpoint
// was its last. A server that was started in between, with or without this library, has another one.
#include "pg/session_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "core/session_file.hpp"
#include "pg/support/guard.hpp"

namespace meridian::pg {
namespace {

constexpr char path[] = PGSTAT_STAT_PERMANENT_DIRECTORY "/meridian_sessions";
constexpr char new_path[] = PGSTAT_STAT_PERMANENT_DIRECTORY "/meridian_sessions.tmp";
/// A file larger than this is none of ours.
constexpr off_t largest_file = off_t{1} << 30;

/// What the control file says; false if it cannot be read or the server was not shut down as a primary.
bool clean_shutdown(SessionFileOrigin* origin, XLogRecPtr* redo) {
  bool sound = false;
  const ControlFileData* const control = get_controlfile(DataDir, &sound);
  if (!sound) return false;
  *redo = control->checkPointCopy.redo;
  *origin = {control->system_identifier, control->checkPoint, control->checkPointCopy.ThisTimeLineID};
  return control->state == DB_SHUTDOWNED;
}

void* allocate(std::size_t size) {
  return MemoryContextAllocExtended(CurrentMemoryContext, size, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

bool write_bytes(FILE* file, const void* bytes, std::size_t size) {
  const bool written = std::fwrite(bytes, 1, size, file) == size;
  return FreeFile(file) == 0 && written;
}

void save(const SessionTable& table) {
  SessionFileOrigin origin{};
  XLogRecPtr redo = InvalidXLogRecPtr;
  if (!clean_shutdown(&origin, &redo)) return;
  const std::size_t size = session_file_size(table, origin.timeline);
  auto* const bytes = size == 0 ? nullptr : static_cast<std::uint8_t*>(allocate(size));
  if (bytes == nullptr) return;
  write_session_file(table, origin, {bytes, size});
  FILE* const file = AllocateFile(new_path, PG_BINARY_W);
  if (file == nullptr || !write_bytes(file, bytes, size) || durable_rename(new_path, path, LOG) != 0) {
    ereport(LOG, (errcode_for_file_access(), errmsg("could not write file \"%s\": %m", path)));
    unlink(new_path);
  }
}

/// The whole file; null if there is none that can be read.
std::uint8_t* read_bytes(std::size_t* size) {
  FILE* const file = AllocateFile(path, PG_BINARY_R);
  if (file == nullptr) return nullptr;
  struct stat facts;
  std::uint8_t* bytes = nullptr;
  if (fstat(fileno(file), &facts) == 0 && facts.st_size > 0 && facts.st_size < largest_file) {
    *size = static_cast<std::size_t>(facts.st_size);
    bytes = static_cast<std::uint8_t*>(allocate(*size));
    if (bytes != nullptr && std::fread(bytes, 1, *size, file) != *size) {
      pfree(bytes);
      bytes = nullptr;
    }
  }
  FreeFile(file);
  return bytes;
}

}  // namespace

XLogRecPtr load_session_file(SessionTable& table) {
  SessionFileOrigin origin{};
  XLogRecPtr redo = InvalidXLogRecPtr;
  std::size_t size = 0;
  const bool clean = clean_shutdown(&origin, &redo) && table.partitions() > 0;
  std::uint8_t* const bytes = clean ? read_bytes(&size) : nullptr;
  if (bytes != nullptr) {
    if (!read_session_file({bytes, size}, origin, table))
      ereport(LOG, (errmsg("file \"%s\" is not of the last shutdown, and is ignored", path)));
    pfree(bytes);
  }
  unlink(path);
  return redo;
}

extern "C" void meridian_save_sessions(int code, Datum table) {
  if (code != 0) return;
  try {
    call([table] { save(*reinterpret_cast<const SessionTable*>(DatumGetPointer(table))); });
  } catch (...) {
    // The server is going down; it had no file before, and has none now.
  }
}

}  // namespace meridian::pg
