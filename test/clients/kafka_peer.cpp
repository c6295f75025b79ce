// A broker of the Kafka protocol (librdkafka's mock cluster, one broker, four partitions a topic) that a test tells
// what to do, and a consumer of it. Not Apache Kafka: it keeps about 5 MB per partition, and shows events of aborted
// transactions. Prints the address to connect to; then reads commands, and ends each answer with the line `end`:
//   read TOPIC         prints all events of a topic: partition, key, value and headers as JSON, a line each
//   down, up           the broker refuses connections, and takes them again
//   fail COUNT CODE    the next COUNT produce requests are answered with this error code
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int broker = 1;
constexpr int partitions = 4;
constexpr int patience_ms = 60'000;
constexpr std::int16_t produce_request = 0;

[[noreturn]] void die(const std::string& what) {
  std::cerr << what << std::endl;
  std::exit(1);
}

rd_kafka_t* make_client(rd_kafka_type_t type, const std::vector<std::pair<std::string, std::string>>& settings) {
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  char error[512];
  for (const auto& [name, value] : settings) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error) != RD_KAFKA_CONF_OK) die(error);
  }
  rd_kafka_t* const client = rd_kafka_new(type, conf, error, sizeof error);
  if (client == nullptr) die(error);
  return client;
}

std::string quoted(const void* bytes, std::size_t size) {
  if (bytes == nullptr) return "null";
  std::string out = "\"";
  for (const char* c = static_cast<const char*>(bytes); size > 0; ++c, --size) {
    if (*c == '"' || *c == '\\') out += '\\';
    out += *c;
  }
  return out + '"';
}

std::string headers_of(const rd_kafka_message_t* message) {
  rd_kafka_headers_t* headers = nullptr;
  std::string out = "{";
  if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
      out += (i > 0 ? "," : "") + quoted(name, std::strlen(name)) + ":" + quoted(value, size);
    }
  }
  return out + "}";
}

void read(const std::string& servers, const std::string& topic) {
  rd_kafka_t* const consumer = make_client(
      RD_KAFKA_CONSUMER, {{"bootstrap.servers", servers}, {"group.id", "peer"}, {"enable.auto.commit", "false"}});
  rd_kafka_topic_partition_list_t* const all = rd_kafka_topic_partition_list_new(partitions);
  std::int64_t left = 0;
  for (int partition = 0; partition < partitions; ++partition) {
    rd_kafka_topic_partition_list_add(all, topic.c_str(), partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
    std::int64_t low = 0;
    std::int64_t high = 0;
    const auto error = rd_kafka_query_watermark_offsets(consumer, topic.c_str(), partition, &low, &high, patience_ms);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(error));
    if (low != 0) die("the mock cluster has dropped events");
    left += high;
  }
  rd_kafka_assign(consumer, all);
  rd_kafka_topic_partition_list_destroy(all);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
  while (left > 0 && std::chrono::steady_clock::now() < deadline) {
    rd_kafka_message_t* const message = rd_kafka_consumer_poll(consumer, 100);
    if (message == nullptr) continue;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      --left;
      std::cout << "{\"partition\":" << message->partition << ",\"key\":" << quoted(message->key, message->key_len)
                << ",\"value\":" << quoted(message->payload, message->len) << ",\"headers\":" << headers_of(message)
                << "}\n";
    }
    rd_kafka_message_destroy(message);
  }
  std::cout << "end" << std::endl;
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
}

}  // namespace

int main() {
  rd_kafka_t* const owner = make_client(RD_KAFKA_PRODUCER, {});
  rd_kafka_mock_cluster_t* const cluster = rd_kafka_mock_cluster_new(owner, 1);
  if (cluster == nullptr) die("no mock cluster");
  const std::string servers = rd_kafka_mock_cluster_bootstraps(cluster);
  std::cout << servers << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "read") {
      std::string topic;
      words >> topic;
      read(servers, topic);
    } else if (command == "down" || command == "up") {
      command == "down" ? rd_kafka_mock_broker_set_down(cluster, broker) : rd_kafka_mock_broker_set_up(cluster, broker);
      std::cout << "end" << std::endl;
    } else if (command == "fail") {
      int count = 0;
      int code = 0;
      words >> count >> code;
      for (int i = 0; i < count; ++i)
        rd_kafka_mock_push_request_errors(cluster, produce_request, 1, static_cast<rd_kafka_resp_err_t>(code));
      std::cout << "end" << std::endl;
    } else {
      die("unknown command: " + line);
    }
  }
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(owner);
}
