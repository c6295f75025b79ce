// The secret with which tokens are signed: the content of the file that meridian.token_secret_file names.
#pragma once

#include "core/hmac.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// The secret; empty if tokens are not signed. Never raises.
const HmacKey& token_secret() noexcept;

/// Hooks of the setting. The file is read when the configuration is, by every process, so that nothing has to be read
/// when a token is signed.
extern "C" {
bool meridian_check_secret_file(char** path, void** extra, GucSource source);
void meridian_assign_secret_file(const char* path, void* extra);
}

}  // namespace meridian::pg
