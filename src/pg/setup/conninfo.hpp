// Connection strings of users: parsed by libpq, completed by us, never shown with a password.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace meridian::pg::setup {

/// Keywords and values, as PQconnectStartParams takes them.
using Parameters = std::vector<std::pair<std::string, std::string>>;

using Handle = std::unique_ptr<PGconn, decltype(&PQfinish)>;

/// Begins to connect; PQconnectPoll() goes on. Notices are dropped: the server's messages of lower level are for its
/// log. Throws std::bad_alloc if there is no memory for it.
[[nodiscard]] Handle begin_connecting(const Parameters& parameters);

/// Goes on until the connection is made or has failed: see PQstatus(). `wait(reads)` waits for the socket to become
/// readable or writable; what it throws ends the attempt.
template <typename Wait>
void finish_connecting(PGconn* connection, Wait wait) {
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (PQstatus(connection) != CONNECTION_BAD && state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
    wait(state == PGRES_POLLING_READING);
    state = PQconnectPoll(connection);
  }
}

/// A message of libpq without the line break at its end.
[[nodiscard]] std::string trimmed(std::string message);

/// A parsed connection string (keyword=value pairs or a URI, as libpq takes them).
class Conninfo {
 public:
  /// Throws SetupError 22023, `what` names the argument. libpq's own message would quote parts of the string.
  Conninfo(const std::string& text, const std::string& what);

  /// Throws SetupError unless a user who is no superuser may make the server connect so: a password in the string, and
  /// no keyword that reads the server's files, uses its identity, or reaches a socket directory of its choice.
  void refuse_server_identity() const;

  /// Keywords and values for PQconnectStartParams: what the string says, then our own where it says nothing, and what
  /// we insist on.
  [[nodiscard]] Parameters parameters(const std::string& application_name = "meridian setup") const;

  /// The text with every password replaced.
  [[nodiscard]] std::string redact(std::string text) const;

  /// What the string says.
  [[nodiscard]] const Parameters& given() const noexcept { return given_; }
  /// Empty if not given.
  [[nodiscard]] std::string_view value(std::string_view keyword) const;

 private:
  Parameters given_;
};

/// The connection string as keyword=value pairs without passwords; "(unreadable)" if libpq cannot parse it.
std::string redacted_dsn(const std::string& dsn);

}  // namespace meridian::pg::setup
