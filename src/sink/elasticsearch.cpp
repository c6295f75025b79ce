// Elasticsearch (and OpenSearch), through _bulk: a document per row, named by the row's key.
//
// Every action carries the commit's LSN as external version, so what comes again after a crash changes nothing: the
// server answers 409, which is success. Within a transaction versions are equal (external_gte), and order is that of
// the requests.
//
// A row with gaps (core/sink_document.hpp) is completed from the document that is there, which nobody else writes, and
// indexed whole: Elasticsearch's partial update takes no external version, so one that comes again would bring back old
// values. If there is no document yet, it begins with the columns that were sent.
//
// In one request a document is named once, with its last change. So a part that fails and is repeated cannot overtake.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/json_string.hpp"
#include "core/sink_document.hpp"
#include "sink/elasticsearch.hpp"
#include "sink/reconciliation.hpp"

namespace meridian::sink {
namespace {

struct Action {
  std::size_t event;
  std::string index;
  std::string id;
  bool removes;
  std::string document;
};

}  // namespace

std::string elasticsearch_index(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

std::string elasticsearch_url(const Options& options) {
  std::string url = options.require("url");
  while (url.ends_with('/')) url.pop_back();
  return url;
}

HttpClient::Settings elasticsearch_settings(const Options& options) {
  HttpClient::Settings settings = http_settings(options, true);
  if (const auto key = options.find("api_key")) settings.headers.push_back("Authorization: ApiKey " + *key);
  return settings;
}

namespace {

class ElasticsearchTarget final : public Target {
 public:
  explicit ElasticsearchTarget(const Options& options)
      : options_(options),
        version_base_(options.version_base()),
        url_(elasticsearch_url(options)),
        index_(options.get("index", "{table}")),
        id_(options.get("id", "{key}")),
        http_(elasticsearch_settings(options)) {
    options.allow_only({"url", "index", "id", "username", "password", "api_key", "ca_file", "compress", "timeout_s"});
  }

  std::optional<std::string> mark(const std::vector<SinkTable>&) override { return std::string(); }

  std::unique_ptr<Reconciliation> reconcile(const ReconciliationTask& task) override {
    return make_elasticsearch_reconciliation(options_, task);
  }

  void deliver(std::span<const SinkEvent* const> events, std::span<Outcome> outcomes, const Idle& idle) override {
    std::vector<Action> wave;
    std::map<std::string, std::size_t> in_wave;  // document -> its place
    replaced_.clear();
    for (std::size_t i = 0; i < events.size(); ++i) {
      auto action = action_for(i, *events[i], &outcomes[i]);
      if (!action) continue;
      const auto [found, is_new] = in_wave.try_emplace(action->index + '\0' + action->id, wave.size());
      if (is_new) {
        wave.push_back(std::move(*action));
        continue;
      }
      Action& earlier = wave[found->second];
      if (!earlier.removes && has_gap(action->document))
        action->document = fill_gaps(action->document, earlier.document);
      replaced_.push_back({earlier.event, i});
      earlier = std::move(*action);
    }
    complete(&wave, outcomes, idle);
    if (!wave.empty()) send(wave, events, outcomes, idle);
    finish(outcomes);
  }

 private:
  std::optional<Action> action_for(std::size_t i, const SinkEvent& event, Outcome* outcome) const {
    const auto row = event.value && event.key ? parse_changed_row(*event.value) : std::nullopt;
    if (!row) {
      outcome->kind = Outcome::Kind::delivered;  // a tombstone, a message: not for an index
      return std::nullopt;
    }
    const NameTemplate::Source source{*event.key, row->table, row->schema, event.topic};
    const auto index = index_.fill(source);
    const auto id = id_.fill(source);
    if (!index || !id) {
      *outcome = {Outcome::Kind::rejected, "the event's key lacks a column that option \"index\" or \"id\" names"};
      return std::nullopt;
    }
    if (id->size() > 512) {
      *outcome = {Outcome::Kind::rejected, "the document's _id is longer than 512 bytes"};
      return std::nullopt;
    }
    return Action{i, elasticsearch_index(*index), *id, row->op == 'd', std::string(row->after)};
  }

  /// Fills gaps from the documents as they are. What cannot be completed now is taken out of the wave, for later.
  void complete(std::vector<Action>* wave, std::span<Outcome> outcomes, const Idle& idle) {
    std::string body;
    for (const Action& action : *wave) {
      if (!has_gap(action.document)) continue;
      body += body.empty() ? R"({"docs":[{"_index":)" : R"(,{"_index":)";
      append_json_string(body, action.index);
      body += R"(,"_id":)";
      append_json_string(body, action.id);
      body += '}';
    }
    if (body.empty()) return;
    const auto answer = http_.post(url_ + "/_mget", "application/json", body + "]}", idle);
    const auto parsed = answer.status == 200 ? nlohmann::json::parse(answer.body, nullptr, false) : nlohmann::json();
    const auto docs = parsed.is_object() && parsed.contains("docs") ? parsed["docs"] : nlohmann::json();
    std::size_t place = 0;
    std::erase_if(*wave, [&](Action& action) {
      if (!has_gap(action.document)) return false;
      const auto doc = docs.is_array() && place < docs.size() ? docs[place] : nlohmann::json();
      ++place;
      if (doc.is_object() && doc.contains("_source")) {
        action.document = without_gaps(
            fill_gaps(action.document, doc["_source"].dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
        return false;
      }
      if (doc.is_object() && (doc.contains("found") || error_type(doc) == "index_not_found_exception")) {
        action.document = without_gaps(action.document);
        return false;
      }
      outcomes[action.event] = {Outcome::Kind::retry, answer.status == 0
                                                          ? answer.failure
                                                          : "_mget: HTTP status " + std::to_string(answer.status)};
      return true;
    });
  }

  static std::string error_type(const nlohmann::json& doc) {
    const auto error = doc.find("error");
    return error != doc.end() && error->is_object() ? error->value("type", "") : "";
  }

  void append(std::string& body, const Action& action, const SinkEvent& event) {
    body += action.removes ? R"({"delete":{"_index":)" : R"({"index":{"_index":)";
    append_json_string(body, action.index);
    body += R"(,"_id":)";
    append_json_string(body, action.id);
    body += R"(,"version":)" + std::to_string(version_base_ + event.position.commit_lsn) +
            R"(,"version_type":"external_gte"}})";
    body += '\n';
    if (!action.removes) body += action.document + '\n';
  }

  void send(const std::vector<Action>& wave, std::span<const SinkEvent* const> events, std::span<Outcome> outcomes,
            const Idle& idle) {
    std::string body;
    for (const Action& action : wave) append(body, action, *events[action.event]);
    const auto answer = http_.post(url_ + "/_bulk", "application/x-ndjson", body, idle);
    if (answer.status == 413 && wave.size() > 1) return send_halves(wave, events, outcomes, idle);
    if (answer.status == 200) return judge(wave, answer.body, outcomes);
    // What is wrong with a whole request (a name, a right) is not the fault of one event, so all of them wait; but one
    // that is too large alone will always be.
    const std::string reason = answer.status == 0 ? answer.failure : "HTTP status " + std::to_string(answer.status);
    const auto kind = answer.status == 413 ? Outcome::Kind::rejected : Outcome::Kind::retry;
    for (const Action& action : wave) outcomes[action.event] = {kind, reason};
  }

  void send_halves(const std::vector<Action>& wave, std::span<const SinkEvent* const> events,
                   std::span<Outcome> outcomes, const Idle& idle) {
    const auto middle = wave.begin() + static_cast<std::ptrdiff_t>(wave.size() / 2);
    send({wave.begin(), middle}, events, outcomes, idle);
    send({middle, wave.end()}, events, outcomes, idle);
  }

  static void judge(const std::vector<Action>& wave, const std::string& body, std::span<Outcome> outcomes) {
    const auto answer = nlohmann::json::parse(body, nullptr, false);
    const auto items = answer.is_object() ? answer.find("items") : answer.end();
    const bool is_understood = items != answer.end() && items->is_array() && items->size() == wave.size();
    for (std::size_t i = 0; i < wave.size(); ++i) {
      if (!is_understood) {
        outcomes[wave[i].event] = {Outcome::Kind::retry, "the answer to _bulk is not understood"};
        continue;
      }
      const auto& item = (*items)[i];
      outcomes[wave[i].event] = outcome_of(item.is_object() && !item.empty() ? item.begin().value() : item, wave[i]);
    }
  }

  static Outcome outcome_of(const nlohmann::json& result, const Action& action) {
    const long status = result.is_object() ? result.value("status", 0L) : 0;
    // 409: the index has this change or a later one. 404: what is to be deleted is not there.
    if ((status >= 200 && status < 300) || status == 409 || (status == 404 && action.removes)) {
      return {Outcome::Kind::delivered, {}};
    }
    std::string reason = "status " + std::to_string(status);
    if (result.is_object() && result.contains("error")) {
      reason += ": " + result["error"].dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).substr(0, 2000);
    }
    return {is_passing_status(status) ? Outcome::Kind::retry : Outcome::Kind::rejected, std::move(reason)};
  }

  /// A change that a later one replaced has the fate of that.
  void finish(std::span<Outcome> outcomes) {
    for (auto each = replaced_.rbegin(); each != replaced_.rend(); ++each) {
      const Outcome& later = outcomes[each->second];
      outcomes[each->first] = {later.kind == Outcome::Kind::retry ? Outcome::Kind::retry : Outcome::Kind::delivered,
                               later.reason};
    }
  }

  const Options& options_;
  std::uint64_t version_base_;
  std::string url_;
  NameTemplate index_;
  NameTemplate id_;
  HttpClient http_;
  std::vector<std::pair<std::size_t, std::size_t>> replaced_;
};

}  // namespace

std::unique_ptr<Target> make_elasticsearch_target(const Options& options) {
  return std::make_unique<ElasticsearchTarget>(options);
}

}  // namespace meridian::sink
