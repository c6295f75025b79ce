#include "sink/http_client.hpp"

#include <curl/curl.h>
#include <zlib.h>

#include <exception>
#include <new>
#include <stdexcept>

namespace meridian::sink {
namespace {

constexpr std::size_t most_answer = std::size_t{64} << 20;

std::size_t keep(char* data, std::size_t size, std::size_t count, void* to) {
  auto* const body = static_cast<std::string*>(to);
  if (body->size() + size * count > most_answer) return 0;
  body->append(data, size * count);
  return size * count;
}

/// No exception may pass through libcurl.
struct Progress {
  const Idle* idle;
  std::exception_ptr error;
};

int look_around(void* to, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
  auto* const progress = static_cast<Progress*>(to);
  try {
    return (*progress->idle)() ? 0 : 1;
  } catch (...) {
    progress->error = std::current_exception();
    return 1;
  }
}

std::string gzip(const std::string& body) {
  z_stream stream{};
  constexpr int with_gzip_header = 15 + 16;
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, with_gzip_header, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  std::string out(deflateBound(&stream, static_cast<uLong>(body.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("compression failed");
  return out;
}

class HeaderList {
 public:
  HeaderList() = default;
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  ~HeaderList() { curl_slist_free_all(list_); }
  void add(const std::string& line) {
    curl_slist* const longer = curl_slist_append(list_, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    list_ = longer;
  }
  [[nodiscard]] curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

}  // namespace

HttpClient::HttpClient(Settings settings) : settings_(std::move(settings)), handle_(curl_easy_init()) {
  if (handle_ == nullptr) throw std::bad_alloc();
}

HttpClient::~HttpClient() { curl_easy_cleanup(handle_); }

HttpClient::Answer HttpClient::request(const char* method, const std::string& url, std::string_view content_type,
                                       const std::string& body, const Idle& idle) {
  // The options are set anew, the connection is kept.
  curl_easy_reset(handle_);
  HeaderList headers;
  headers.add("Content-Type: " + std::string(content_type));
  headers.add("Expect:");
  for (const std::string& line : settings_.headers) headers.add(line);
  const bool compressed = settings_.compress && !body.empty();
  if (compressed) headers.add("Content-Encoding: gzip");
  const std::string content = compressed ? gzip(body) : body;

  Answer answer;
  Progress progress{&idle, nullptr};
  char failure[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(handle_, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle_, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle_, CURLOPT_XFERINFOFUNCTION, look_around);
  curl_easy_setopt(handle_, CURLOPT_XFERINFODATA, &progress);
  curl_easy_setopt(handle_, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle_, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(handle_, CURLOPT_POSTFIELDS, content.data());
  curl_easy_setopt(handle_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(content.size()));
  curl_easy_setopt(handle_, CURLOPT_WRITEFUNCTION, keep);
  curl_easy_setopt(handle_, CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(handle_, CURLOPT_ERRORBUFFER, failure);
  curl_easy_setopt(handle_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle_, CURLOPT_CONNECTTIMEOUT, 5L);
  curl_easy_setopt(handle_, CURLOPT_TIMEOUT, settings_.timeout_s);
  curl_easy_setopt(handle_, CURLOPT_ACCEPT_ENCODING, "");
  if (!settings_.user.empty()) {
    curl_easy_setopt(handle_, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(handle_, CURLOPT_USERNAME, settings_.user.c_str());
    curl_easy_setopt(handle_, CURLOPT_PASSWORD, settings_.password.c_str());
  }
  if (!settings_.ca_file.empty()) curl_easy_setopt(handle_, CURLOPT_CAINFO, settings_.ca_file.c_str());
  const CURLcode code = curl_easy_perform(handle_);
  if (progress.error) std::rethrow_exception(progress.error);
  if (code == CURLE_OK) {
    curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &answer.status);
  } else {
    // An answer that broke off says nothing of what was done.
    answer.status = 0;
    answer.failure = failure[0] != '\0' ? failure : curl_easy_strerror(code);
  }
  return answer;
}

HttpClient::Settings http_settings(const Options& options, bool compress_by_default) {
  HttpClient::Settings settings;
  settings.user = options.get("username", "");
  settings.password = options.get("password", "");
  settings.ca_file = options.get("ca_file", "");
  settings.compress = options.flag("compress", compress_by_default);
  settings.timeout_s = static_cast<long>(options.number("timeout_s", 30, 1, 600));
  return settings;
}

}  // namespace meridian::sink
