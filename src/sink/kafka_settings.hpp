// What clients of Kafka have in common: how they are set up.
#pragma once

#include <librdkafka/rdkafka.h>

#include <string>
#include <utility>
#include <vector>

#include "sink/options.hpp"

namespace meridian::sink {

struct KafkaSettings {
  std::vector<std::pair<std::string, std::string>> settings;
  void (*on_delivery)(rd_kafka_t*, const rd_kafka_message_t*, void*) = nullptr;
  std::string* complaint = nullptr;  ///< the last error, written by the client, which it has to outlive
};

/// A client of option `brokers`, with these settings and those that people made by `kafka.`. Throws OptionError for
/// settings that are wrong.
[[nodiscard]] rd_kafka_t* make_kafka_client(const Options& options, rd_kafka_type_t type,
                                            const KafkaSettings& settings);

}  // namespace meridian::sink
