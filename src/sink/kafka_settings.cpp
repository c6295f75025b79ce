#include "sink/kafka_settings.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>

namespace meridian::sink {
namespace {

/// What people set; everything else is decided here.
constexpr std::array tunable = {"security.protocol",
                                "sasl.mechanism",
                                "sasl.username",
                                "sasl.password",
                                "ssl.ca.location",
                                "ssl.certificate.location",
                                "ssl.key.location",
                                "ssl.key.password",
                                "client.id",
                                "linger.ms",
                                "batch.size",
                                "socket.timeout.ms",
                                "message.max.bytes",
                                "broker.address.family",
                                "reconnect.backoff.max.ms",
                                "transaction.timeout.ms"};

struct FreeConf {
  void operator()(rd_kafka_conf_t* conf) const noexcept { rd_kafka_conf_destroy(conf); }
};

void set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  char error[512];
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error) == RD_KAFKA_CONF_OK) return;
  throw OptionError("Kafka's option \"" + name + "\" is wrong");  // librdkafka's text would show the value
}

/// librdkafka goes on by itself after these: brokers that are down, names that are not found.
void on_error(rd_kafka_t*, int, const char* reason, void* complaint) { *static_cast<std::string*>(complaint) = reason; }

}  // namespace

rd_kafka_t* make_kafka_client(const Options& options, rd_kafka_type_t type, const KafkaSettings& settings) {
  std::unique_ptr<rd_kafka_conf_t, FreeConf> conf(rd_kafka_conf_new());
  set(conf.get(), "bootstrap.servers", options.require("brokers"));
  set(conf.get(), "log_level", "2");  // errors are told to on_error()
  for (const auto& [name, value] : settings.settings) set(conf.get(), name, value);
  for (const auto& [name, value] : options.with_prefix("kafka.")) {
    if (std::find(tunable.begin(), tunable.end(), name) == tunable.end())
      throw OptionError("option \"kafka." + name + "\" cannot be set");
    set(conf.get(), name, value);
  }
  rd_kafka_conf_set_opaque(conf.get(), settings.complaint);
  rd_kafka_conf_set_error_cb(conf.get(), on_error);
  if (settings.on_delivery != nullptr) rd_kafka_conf_set_dr_msg_cb(conf.get(), settings.on_delivery);
  char error[512];
  rd_kafka_t* const client = rd_kafka_new(type, conf.get(), error, sizeof error);
  if (client == nullptr) throw std::runtime_error(std::string("librdkafka: ") + error);
  conf.release();  // it is the client's
  return client;
}

}  // namespace meridian::sink
