// Scrolls over the indexes of the tables' documents. Those with an older version whose _source is a row that has their
// _id are deleted, by a version below those of this generation: a document that was written meanwhile has a larger one,
// and the answer is 409.
//
// Versions cannot be searched for, so all documents are looked at, of each its version and the columns of the key.
// Scrolls, not points in time, because OpenSearch has them under the same name.
#include <nlohmann/json.hpp>
#include <set>

#include "core/json_string.hpp"
#include "core/sink_document.hpp"
#include "sink/elasticsearch.hpp"
#include "sink/reconciliation.hpp"

namespace meridian::sink {
namespace {

using Json = nlohmann::json;

constexpr const char* json_type = "application/json";

class ElasticsearchReconciliation final : public Reconciliation {
 public:
  ElasticsearchReconciliation(const Options& options, const ReconciliationTask& task)
      : url_(elasticsearch_url(options)),
        id_(options.get("id", "{key}")),
        version_(task.version),
        http_(elasticsearch_settings(options)) {
    const NameTemplate index(options.get("index", "{table}"));
    std::set<std::string> names;
    std::set<std::string> columns;
    for (const SinkTable& table : task.tables) {
      if (!table.key_row) continue;
      tables_.push_back(table);
      names.insert(elasticsearch_index(index.pattern({"", table.table, table.schema, table.topic}, '\0')));
      const auto key = Json::parse(*table.key_row, nullptr, false);
      for (const auto& [column, value] : key.items()) columns.insert(column);
    }
    indexes_.assign(names.begin(), names.end());
    for (const std::string& name : indexes_) {
      if (name.starts_with('*')) throw ReconciliationError("option \"index\" names no index that is this sink's own");
    }
    first_ = Json{{"size", page}, {"sort", {"_doc"}}, {"version", true}, {"_source", columns}}.dump();
  }

  Found step(const Idle& idle) override {
    if (place_ == indexes_.size()) return {0, {}, true};
    const auto hits = next_page(idle);
    if (hits.empty()) {
      end_scroll(idle);
      ++place_;
      return {};
    }
    return {remove_gone(hits, idle), {}, false};
  }

 private:
  static constexpr int page = 500;

  Json next_page(const Idle& idle) {
    if (scroll_.empty()) {
      // What was written last can be searched for only after that.
      const std::string index = url_ + "/" + indexes_[place_];
      const auto refreshed = http_.post(index + "/_refresh", json_type, "", idle);
      if (refreshed.status == 404) return Json::array();
      check(refreshed, "_refresh");
      return hits_of(http_.post(index + "/_search?scroll=5m", json_type, first_, idle));
    }
    return hits_of(
        http_.post(url_ + "/_search/scroll", json_type, Json{{"scroll", "5m"}, {"scroll_id", scroll_}}.dump(), idle));
  }

  static void check(const HttpClient::Answer& answer, const std::string& what) {
    if (answer.status >= 200 && answer.status < 300) return;
    throw std::runtime_error(what + ": " +
                             (answer.status == 0 ? answer.failure : "HTTP status " + std::to_string(answer.status)));
  }

  Json hits_of(const HttpClient::Answer& answer) {
    check(answer, "_search");
    const auto parsed = Json::parse(answer.body, nullptr, false);
    try {
      // Of shards that do not answer nothing would be seen, and their rows would be called gone.
      if (parsed.at("_shards").at("failed") != 0 || parsed.at("timed_out") != false)
        throw std::runtime_error("_search: not all shards have answered");
      scroll_ = parsed.at("_scroll_id").get<std::string>();
      return parsed.at("hits").at("hits");
    } catch (const Json::exception&) {
      throw std::runtime_error("the answer to _search is not understood");
    }
  }

  void end_scroll(const Idle& idle) {
    if (scroll_.empty()) return;
    http_.request("DELETE", url_ + "/_search/scroll", json_type, Json{{"scroll_id", scroll_}}.dump(), idle);
    scroll_.clear();
  }

  std::uint64_t remove_gone(const Json& hits, const Idle& idle) {
    std::string body;
    std::size_t count = 0;
    for (const Json& hit : hits) {
      if (hit.value("_version", std::uint64_t{0}) >= version_ || !hit.contains("_source") || !is_ours(hit)) continue;
      const Json action{{"_index", hit.at("_index")},
                        {"_id", hit.at("_id")},
                        {"version", version_ - 1},
                        {"version_type", "external_gte"}};
      body += Json{{"delete", action}}.dump() + '\n';
      ++count;
    }
    if (body.empty()) return 0;
    const auto answer = http_.post(url_ + "/_bulk", "application/x-ndjson", body, idle);
    check(answer, "_bulk");
    return count_removed(Json::parse(answer.body, nullptr, false), count);
  }

  static std::uint64_t count_removed(const Json& answer, std::size_t count) {
    if (!answer.is_object() || !answer.contains("items") || answer["items"].size() != count)
      throw std::runtime_error("the answer to _bulk is not understood");
    std::uint64_t removed = 0;
    for (const Json& item : answer["items"]) {
      const long status = item.contains("delete") ? item["delete"].value("status", 0L) : 0;
      if (status == 200) ++removed;
      if (status != 200 && status != 404 && status != 409)
        throw std::runtime_error("_bulk: status " + std::to_string(status) + " of a delete");
    }
    return removed;
  }

  [[nodiscard]] bool is_ours(const Json& hit) const {
    const std::string row = hit["_source"].dump(-1, ' ', false, Json::error_handler_t::replace);
    for (const SinkTable& table : tables_) {
      const auto key = key_of_row(row, *table.key_row);
      if (key && id_.fill({*key, table.table, table.schema, table.topic}) == hit.value("_id", "")) return true;
    }
    return false;
  }

  std::string url_;
  NameTemplate id_;
  std::uint64_t version_;
  HttpClient http_;
  std::vector<SinkTable> tables_;
  std::vector<std::string> indexes_;
  std::string first_;  ///< the request that begins a scroll
  std::size_t place_ = 0;
  std::string scroll_;
};

}  // namespace

std::unique_ptr<Reconciliation> make_elasticsearch_reconciliation(const Options& options,
                                                                  const ReconciliationTask& task) {
  return std::make_unique<ElasticsearchReconciliation>(options, task);
}

}  // namespace meridian::sink
