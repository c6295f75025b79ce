#include "core/dsn.hpp"

#include <algorithm>
#include <array>

#include "core/error.hpp"

namespace meridian {
namespace {

/// Say where a server is, who connects, and how long is waited.
constexpr std::array<std::string_view, 21> harmless = {"host",
                                                       "hostaddr",
                                                       "port",
                                                       "dbname",
                                                       "user",
                                                       "password",
                                                       "sslmode",
                                                       "sslsni",
                                                       "channel_binding",
                                                       "require_auth",
                                                       "ssl_min_protocol_version",
                                                       "connect_timeout",
                                                       "keepalives",
                                                       "keepalives_idle",
                                                       "keepalives_interval",
                                                       "keepalives_count",
                                                       "tcp_user_timeout",
                                                       "target_session_attrs",
                                                       "load_balance_hosts",
                                                       "application_name",
                                                       "gssencmode"};

/// Files and identities of the server's account.
constexpr std::array<std::string_view, 10> of_the_account = {"passfile",    "service",     "sslcert", "sslkey",
                                                             "sslpassword", "sslrootcert", "sslcrl",  "sslcrldir",
                                                             "requirepeer", "krbsrvname"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view word) noexcept {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  for (;;) {
    const auto comma = list.find(',');
    parts.emplace_back(list.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    list.remove_prefix(comma + 1);
  }
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// `*` in the pattern stands for any text. In the time of the product of the lengths.
bool matches(std::string_view pattern, std::string_view text) noexcept {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool is_socket(std::string_view host) noexcept { return host.starts_with('/') || host.starts_with('@'); }

[[noreturn]] void refuse(const std::string& what, const std::string& hint) {
  throw Error(ErrorKind::invalid_rule, what, hint);
}

void check_hosts(const DsnKeywords& dsn, bool trusted, std::string_view patterns) {
  bool any = false;
  for (const std::string_view keyword : {"host", "hostaddr"}) {
    const std::string_view list = dsn_value(dsn, keyword);
    if (list.empty()) continue;
    for (const std::string& host : split(list)) {
      if (host.empty()) continue;
      any = true;
      if (!trusted && is_socket(host))
        refuse("only a superuser may register a server by its socket", "Give a host name or address.");
      if (!admits_host(patterns, host))
        refuse("meridian.allowed_hosts does not admit host \"" + host + "\"", "Add it there, or give another host.");
    }
  }
  if (!any) refuse("the connection string names no host", "Write it as 'host=... port=... dbname=...'.");
}

/// In quotes if it must be.
std::string quoted(std::string_view value) {
  if (!value.empty() && value.find_first_of(" \t\n\v\f\r'\\") == std::string_view::npos) return std::string(value);
  std::string text = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  return text + "'";
}

template <typename Get>
std::string joined(const std::vector<ServerAddress::Endpoint>& endpoints, Get get) {
  std::string list;
  for (const ServerAddress::Endpoint& endpoint : endpoints) {
    if (&endpoint != endpoints.data()) list += ',';
    list += get(endpoint);
  }
  return list;
}

}  // namespace

void append_dsn_keyword(std::string& dsn, std::string_view keyword, std::string_view value) {
  if (!dsn.empty()) dsn += ' ';
  dsn += keyword;
  dsn += '=';
  dsn += quoted(value);
}

std::string_view dsn_value(const DsnKeywords& dsn, std::string_view keyword) noexcept {
  const auto found =
      std::find_if(dsn.begin(), dsn.end(), [keyword](const auto& each) { return each.first == keyword; });
  return found == dsn.end() ? std::string_view() : std::string_view(found->second);
}

bool admits_host(std::string_view patterns, std::string_view host) noexcept {
  if (trim(patterns).empty()) return true;
  for (;;) {
    const auto comma = patterns.find(',');
    if (matches(trim(patterns.substr(0, comma)), host)) return true;
    if (comma == std::string_view::npos) return false;
    patterns.remove_prefix(comma + 1);
  }
}

void check_server_dsn(const DsnKeywords& dsn, bool trusted, std::string_view host_patterns) {
  for (const auto& [keyword, value] : dsn) {
    if (contains(harmless, keyword)) continue;
    if (!contains(of_the_account, keyword))
      refuse("\"" + keyword + "\" may not be in the connection string of a server", "Leave it out.");
    if (!trusted)
      refuse("only a superuser may use \"" + keyword + "\" in the connection string of a server",
             "Leave it out, or let a superuser register the server.");
  }
  check_hosts(dsn, trusted, host_patterns);
}

ServerAddress address_of(const DsnKeywords& dsn) {
  ServerAddress address;
  const std::vector<std::string> hosts = split(dsn_value(dsn, "host"));
  const std::vector<std::string> addresses = split(dsn_value(dsn, "hostaddr"));
  const std::vector<std::string> ports = split(dsn_value(dsn, "port"));
  const auto at = [](const std::vector<std::string>& list, std::size_t i) {
    return i < list.size() ? list[i] : std::string();
  };
  for (std::size_t i = 0; i < std::max(hosts.size(), addresses.size()); ++i) {
    ServerAddress::Endpoint endpoint{at(hosts, i), at(addresses, i), at(ports, ports.size() == 1 ? 0 : i)};
    // Without a host libpq takes the socket of its own machine.
    if (endpoint.host.empty() && endpoint.hostaddr.empty() && (dsn.empty() || hosts.size() > 1)) continue;
    if (endpoint.port.empty()) endpoint.port = "5432";
    address.endpoints.push_back(std::move(endpoint));
  }
  address.dbname = dsn_value(dsn, "dbname");
  address.sslmode = dsn_value(dsn, "sslmode");
  return address;
}

std::string to_conninfo(const ServerAddress& address) { return to_conninfo({&address, 1}, {}, false); }

std::string to_conninfo(std::span<const ServerAddress> servers, std::string_view attributes, bool balance) {
  std::vector<ServerAddress::Endpoint> endpoints;
  for (const ServerAddress& server : servers) {
    if (server.dbname != servers.front().dbname) continue;
    endpoints.insert(endpoints.end(), server.endpoints.begin(), server.endpoints.end());
  }
  if (endpoints.empty()) return {};
  std::string text;
  const auto has_host = [](const auto& endpoint) { return !endpoint.host.empty(); };
  const auto has_address = [](const auto& endpoint) { return !endpoint.hostaddr.empty(); };
  if (std::any_of(endpoints.begin(), endpoints.end(), has_host))
    append_dsn_keyword(text, "host", joined(endpoints, [](const auto& endpoint) { return endpoint.host; }));
  if (std::any_of(endpoints.begin(), endpoints.end(), has_address))
    append_dsn_keyword(text, "hostaddr", joined(endpoints, [](const auto& endpoint) { return endpoint.hostaddr; }));
  append_dsn_keyword(text, "port", joined(endpoints, [](const auto& endpoint) { return endpoint.port; }));
  if (!servers.front().dbname.empty()) append_dsn_keyword(text, "dbname", servers.front().dbname);
  if (!servers.front().sslmode.empty()) append_dsn_keyword(text, "sslmode", servers.front().sslmode);
  if (!attributes.empty()) append_dsn_keyword(text, "target_session_attrs", attributes);
  if (balance) append_dsn_keyword(text, "load_balance_hosts", "random");
  return text;
}

}  // namespace meridian
