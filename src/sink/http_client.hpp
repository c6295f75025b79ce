// One HTTP connection, through libcurl: requests with a body, the status and a bounded answer. No redirects, no
// signals.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sink/target.hpp"

namespace meridian::sink {

class HttpClient {
 public:
  struct Settings {
    std::string user;  ///< with `password`: basic authentication; may be empty
    std::string password;
    std::string ca_file;  ///< empty: the system's
    std::vector<std::string> headers;
    long timeout_s = 30;
    bool compress = false;
  };
  struct Answer {
    long status = 0;  ///< 0: none came
    std::string body;
    std::string failure;  ///< why none came
  };

  explicit HttpClient(Settings settings);
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  /// POST. `idle` is called about once a second; when it returns false the request is given up.
  Answer post(const std::string& url, std::string_view content_type, const std::string& body, const Idle& idle) {
    return request("POST", url, content_type, body, idle);
  }
  /// The same with another method.
  Answer request(const char* method, const std::string& url, std::string_view content_type, const std::string& body,
                 const Idle& idle);

 private:
  Settings settings_;
  void* handle_;  // CURL
};

/// From the options username, password, ca_file, compress and timeout_s.
[[nodiscard]] HttpClient::Settings http_settings(const Options& options, bool compress_by_default);

/// Worth trying again: nothing came, or the server says that it is too busy or broken now.
[[nodiscard]] constexpr bool is_passing_status(long status) noexcept {
  return status == 0 || status == 408 || status == 429 || status >= 500;
}

}  // namespace meridian::sink
