// Any HTTP server: each batch is one POST of lines (line.hpp), in the order of the stream. An answer 2xx takes the
// whole batch. A batch that is refused for good (4xx) is sent event by event, so that only the one that is at fault is
// put aside.
#include "sink/http_client.hpp"
#include "sink/line.hpp"
#include "sink/target.hpp"

namespace meridian::sink {

namespace {

class HttpTarget final : public Target {
 public:
  explicit HttpTarget(const Options& options) : url_(options.require("url")), http_(settings(options)) {
    options.allow_only({"url", "username", "password", "bearer_token", "ca_file", "compress", "timeout_s"});
  }

  void deliver(std::span<const SinkEvent* const> events, std::span<Outcome> outcomes, const Idle& idle) override {
    if (post(events, outcomes, idle) || events.size() == 1 || outcomes[0].kind == Outcome::Kind::retry) return;
    for (std::size_t i = 0; i < events.size(); ++i) {
      post(events.subspan(i, 1), outcomes.subspan(i, 1), idle);
      if (outcomes[i].kind != Outcome::Kind::retry && idle()) continue;
      for (std::size_t k = i + 1; k < events.size(); ++k) outcomes[k] = {Outcome::Kind::retry, outcomes[i].reason};
      return;
    }
  }

 private:
  static HttpClient::Settings settings(const Options& options) {
    HttpClient::Settings settings = http_settings(options, false);
    if (const auto token = options.find("bearer_token")) settings.headers.push_back("Authorization: Bearer " + *token);
    return settings;
  }

  bool post(std::span<const SinkEvent* const> events, std::span<Outcome> outcomes, const Idle& idle) {
    std::string body;
    for (const SinkEvent* event : events) body += line_of(*event);
    const auto answer = http_.post(url_, "application/x-ndjson", body, idle);
    const bool taken = answer.status >= 200 && answer.status < 300;
    const std::string reason = taken                ? ""
                               : answer.status == 0 ? answer.failure
                                                    : "HTTP status " + std::to_string(answer.status);
    // Who is not let in (401, 403) or has the wrong address (404) does not put events aside for that.
    const bool passing =
        is_passing_status(answer.status) || answer.status == 401 || answer.status == 403 || answer.status == 404;
    for (Outcome& outcome : outcomes) {
      outcome = {taken ? Outcome::Kind::delivered : passing ? Outcome::Kind::retry : Outcome::Kind::rejected, reason};
    }
    return taken;
  }

  std::string url_;
  HttpClient http_;
};

}  // namespace

std::unique_ptr<Target> make_http_target(const Options& options) { return std::make_unique<HttpTarget>(options); }

}  // namespace meridian::sink
