// Connection strings of servers: what may be in one, and what clients are told of it.
//
// Strings are parsed by libpq, outside; here they are keywords and values. The server connects by them with what its
// account has (password file, certificates, identity), so a string from somebody who is no superuser must not use that.
// Clients are told an address: hosts, ports and database, neither user nor password, which are their own.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace meridian {

using DsnKeywords = std::vector<std::pair<std::string, std::string>>;

/// The value of a keyword; empty if it is not there.
[[nodiscard]] std::string_view dsn_value(const DsnKeywords& dsn, std::string_view keyword) noexcept;

/// Adds `keyword=value` to a connection string, the value quoted as libpq reads it.
void append_dsn_keyword(std::string& dsn, std::string_view keyword, std::string_view value);

/// Whether the host matches one of the patterns, a list with commas in which `*` stands for any text. An empty list
/// admits every host.
[[nodiscard]] bool admits_host(std::string_view patterns, std::string_view host) noexcept;

/// Throws Error(invalid_rule) unless a server may be registered with the string: keywords that are known to be
/// harmless, and hosts that the patterns admit. `trusted`: a superuser gave it, who may also name files and identities
/// of the server's account.
void check_server_dsn(const DsnKeywords& dsn, bool trusted, std::string_view host_patterns);

/// Where a client finds a server.
struct ServerAddress {
  struct Endpoint {
    std::string host;
    std::string hostaddr;
    std::string port;
  };
  std::vector<Endpoint> endpoints;
  std::string dbname;
  std::string sslmode;
};

[[nodiscard]] ServerAddress address_of(const DsnKeywords& dsn);

/// The address as a connection string.
[[nodiscard]] std::string to_conninfo(const ServerAddress& address);

/// One connection string for several servers, in their order. The first decides database and sslmode; servers with
/// another database are left out. `attributes`: target_session_attrs. `balance`: libpq is to try them in random order,
/// which versions before 16 refuse to understand. Empty if there is no server.
[[nodiscard]] std::string to_conninfo(std::span<const ServerAddress> servers, std::string_view attributes,
                                      bool balance);

}  // namespace meridian
