#include "pg/token_secret.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pg/support/compat.hpp"

namespace meridian::pg {
namespace {

constexpr std::size_t shortest_secret = 16;
constexpr std::size_t longest_secret = 1024;

struct Secret {
  std::size_t size;
  std::uint8_t bytes[longest_secret];
};

/// Owned by the setting.
const Secret* current = nullptr;

/// Null if it is usable; else what is wrong. The file is open.
const char* read_secret(int file, Secret* secret) {
  struct stat facts;
  if (fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode)) return "It is not a regular file.";
  if ((facts.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0)
    return "Others than its owner and group may read or write it.";
  std::size_t size = 0;
  ssize_t got = 0;
  while (size < longest_secret && (got = read(file, secret->bytes + size, longest_secret - size)) > 0)
    size += static_cast<std::size_t>(got);
  if (got < 0) return "It cannot be read.";
  while (size > 0 && (secret->bytes[size - 1] == '\n' || secret->bytes[size - 1] == '\r')) --size;
  if (size < shortest_secret) return "It holds fewer than 16 bytes.";
  secret->size = size;
  return nullptr;
}

}  // namespace

std::span<const std::uint8_t> token_secret() noexcept {
  if (current == nullptr) return {};
  return {current->bytes, current->size};
}

bool meridian_check_secret_file(char** path, void** extra, GucSource) {
  if ((*path)[0] == '\0') return true;
  auto* secret = static_cast<Secret*>(compat::guc_allocate(sizeof(Secret)));
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

void meridian_assign_secret_file(const char*, void* extra) { current = static_cast<const Secret*>(extra); }

}  // namespace meridian::pg
