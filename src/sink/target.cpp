#include "sink/target.hpp"

#include "sink/reconciliation.hpp"

namespace meridian::sink {

std::optional<std::string> Target::mark(const std::vector<SinkTable>&) { return std::nullopt; }

std::unique_ptr<Reconciliation> Target::reconcile(const ReconciliationTask&) { return nullptr; }

std::unique_ptr<Target> make_target(const Options& options) {
  if (options.kind == "kafka") return make_kafka_target(options);
  if (options.kind == "redis") return make_redis_target(options);
  if (options.kind == "elasticsearch") return make_elasticsearch_target(options);
  if (options.kind == "http") return make_http_target(options);
  if (options.kind == "file") return make_file_target(options);
  throw OptionError("there is no kind of sink \"" + options.kind + "\": kafka, redis, elasticsearch, http, file");
}

}  // namespace meridian::sink
