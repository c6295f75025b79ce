#include "pg/token_secret.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pg/support/compat.hpp"

namespace meridian::pg {
namespace {

constexpr std::size_t shortest_secret = 16;
constexpr std::size_t longest_secret = 1024;

constinit const HmacKey no_secret;
/// Owned by the setting, if it is set.
const HmacKey* current = &no_secret;

/// Null if it is usable; else what is wrong. The file is open.
const char* read_secret(int file, HmacKey* secret) {
  struct stat facts;
  if (fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode)) return "It is not a regular file.";
  if ((facts.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0)
    return "Others than its owner and group may read or write it.";
  std::uint8_t bytes[longest_secret];
  std::size_t size = 0;
  ssize_t got = 0;
  while (size < longest_secret && (got = read(file, bytes + size, longest_secret - size)) > 0)
    size += static_cast<std::size_t>(got);
  if (got < 0) return "It cannot be read.";
  while (size > 0 && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r')) --size;
  if (size < shortest_secret) return "It holds fewer than 16 bytes.";
  *secret = HmacKey({bytes, size});
  return nullptr;
}

}  // namespace

const HmacKey& token_secret() noexcept { return *current; }

bool meridian_check_secret_file(char** path, void** extra, GucSource) {
  if ((*path)[0] == '\0') return true;
  auto* secret = static_cast<HmacKey*>(compat::guc_allocate(sizeof(HmacKey)));
  if (secret == nullptr) return false;
  const int file = open(*path, O_RDONLY | O_CLOEXEC);
  const char* trouble = file < 0 ? "It cannot be opened." : read_secret(file, secret);
  if (file >= 0) close(file);
  if (trouble == nullptr) {
    *extra = secret;
    return true;
  }
  compat::guc_release(secret);
  GUC_check_errmsg("file \"%s\" is no secret for tokens", *path);
  GUC_check_errdetail("%s", trouble);
  GUC_check_errhint("Make it with: head -c 32 /dev/urandom | base64 > file; chmod 600 file");
  return false;
}

void meridian_assign_secret_file(const char*, void* extra) {
  current = extra == nullptr ? &no_secret : static_cast<const HmacKey*>(extra);
}

}  // namespace meridian::pg
