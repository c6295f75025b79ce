#include "pg/setup/conninfo.hpp"

#include <algorithm>
#include <array>
#include <new>

#include "core/dsn.hpp"
#include "pg/setup/error.hpp"

namespace meridian::pg::setup {
namespace {

constexpr std::array<std::string_view, 2> secrets = {"password", "sslpassword"};

/// Refused from users who are no superusers: they read files of the server's account or use its rights.
constexpr std::array<std::string_view, 13> privileged = {
    "service",  "passfile", "sslkey",     "sslcert", "sslrootcert",   "sslcrl",     "sslcrldir",
    "hostaddr", "options",  "krbsrvname", "gsslib",  "gssdelegation", "requirepeer"};

using Options = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

/// Null if libpq cannot read it.
Options parse(const std::string& text) {
  char* message = nullptr;
  Options options(PQconninfoParse(text.c_str(), &message), PQconninfoFree);
  PQfreemem(message);
  return options;
}

}  // namespace

Handle begin_connecting(const Parameters& parameters) {
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  for (const auto& [keyword, value] : parameters) {
    keywords.push_back(keyword.c_str());
    values.push_back(value.c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  Handle handle(PQconnectStartParams(keywords.data(), values.data(), 0), PQfinish);
  if (!handle) throw std::bad_alloc();
  PQsetNoticeReceiver(
      handle.get(), [](void*, const PGresult*) {}, nullptr);
  return handle;
}

std::string trimmed(std::string message) {
  while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) message.pop_back();
  return message;
}

Conninfo::Conninfo(const std::string& text, const std::string& what) {
  const Options options = parse(text);
  if (!options) {
    throw SetupError(
        "22023", what + " is not a valid connection string", {},
        "Write it as libpq takes it: 'host=... port=... dbname=... user=...' or 'postgresql://user@host/dbname'.");
  }
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) given_.emplace_back(option->keyword, option->val);
  }
  if (!value("replication").empty()) {
    throw SetupError("22023", what + " must not ask for a replication connection", {},
                     "Leave out the keyword replication.");
  }
}

std::string_view Conninfo::value(std::string_view keyword) const {
  const auto found = std::ranges::find(given_, keyword, &decltype(given_)::value_type::first);
  return found == given_.end() ? std::string_view() : found->second;
}

void Conninfo::refuse_server_identity() const {
  for (const auto& [keyword, given] : given_) {
    if (contains(privileged, keyword) || (keyword == "host" && (given.starts_with('/') || given.starts_with('@')))) {
      throw SetupError("42501", "only superusers may use \"" + keyword + "\" in this way in a connection string", {},
                       "Connect by TCP with user and password, or let a superuser call the function.");
    }
  }
  if (value("password").empty() || value("host").empty()) {
    throw SetupError("2F003", "host and password are required",
                     "Only superusers may connect with the rights of the server's account.",
                     "Put host and password into the connection string, or let a superuser call the function.");
  }
}

Parameters Conninfo::parameters(const std::string& application_name) const {
  // A peer behind a dead link must be noticed: libpq itself would wait for the kernel's two hours.
  static constexpr std::array<std::pair<const char*, const char*>, 5> defaults = {{
      {"keepalives", "1"},
      {"keepalives_idle", "10"},
      {"keepalives_interval", "5"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout", "20000"},
  }};
  auto parameters = given_;
  for (const auto& [keyword, fallback] : defaults) {
    if (value(keyword).empty()) parameters.emplace_back(keyword, fallback);
  }
  std::erase_if(parameters,
                [](const auto& p) { return p.first == "application_name" || p.first == "client_encoding"; });
  parameters.emplace_back("application_name", application_name);
  return parameters;
}

std::string Conninfo::redact(std::string text) const {
  for (const std::string_view keyword : secrets) {
    const std::string secret(value(keyword));
    if (secret.empty()) continue;
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at + 3)) {
      text.replace(at, secret.size(), "***");
    }
  }
  return text;
}

std::string redacted_dsn(const std::string& dsn) {
  const Options options = parse(dsn);
  if (!options) return "(unreadable)";
  std::string text;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr || contains(secrets, option->keyword)) continue;
    append_dsn_keyword(text, option->keyword, option->val);
  }
  return text;
}

}  // namespace meridian::pg::setup
