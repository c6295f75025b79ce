// A broker of the Kafka protocol (librdkafka's mock cluster, one broker, four partitions a topic) that a test tells
// what to do, and a consumer of it. Not Apache Kafka: it keeps about 5 MB per partition, and shows events of aborted
// transactions. Prints the address to connect to; then reads commands, and ends each answer with the line `end`:
//   read TOPIC         prints all events of a topic: partition, key, value and headers as JSON, a line each
//   down, up           the broker refuses connections, and takes them again
//   follow TOPIC FILE  a consumer appends every event of an empty topic to a file as it comes: partition, a blank, the
//   value;
//                      for more events than the cluster keeps
//   followed TOPIC     waits until it has all that are there
//   fail COUNT CODE    the next COUNT produce requests are answered with this error code
//   late TOPIC COUNT   prints `ready`, and of the next COUNT events how many ms after their commits (source.ts_us) a
//                      consumer had them: P50, P95, P99 and the most
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

/// Takes the place of libc's for the mock cluster, which leaves Nagle's algorithm on for its answers: an answer would
/// wait 40 ms for the acknowledgement of the one before. Kafka's brokers turn it off.
extern "C" int accept(int listener, sockaddr* address, socklen_t* size) {
  const int socket = accept4(listener, address, size, 0);
  const int on = 1;
  if (socket >= 0) setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

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

/// A consumer of all partitions, which has the events that are there already if it is `from_begin`; their number is in
/// `there`. The mock cluster answers a fetch that finds nothing when its time is over, not when there is something.
rd_kafka_t* make_consumer(const std::string& servers, const std::string& topic, bool from_begin, std::int64_t* there) {
  rd_kafka_t* const consumer = make_client(RD_KAFKA_CONSUMER, {{"bootstrap.servers", servers},
                                                               {"group.id", "peer"},
                                                               {"enable.auto.commit", "false"},
                                                               {"auto.offset.reset", "error"},
                                                               {"fetch.wait.max.ms", from_begin ? "100" : "1"}});
  rd_kafka_topic_partition_list_t* const all = rd_kafka_topic_partition_list_new(partitions);
  *there = 0;
  for (int partition = 0; partition < partitions; ++partition) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    const auto error = rd_kafka_query_watermark_offsets(consumer, topic.c_str(), partition, &low, &high, patience_ms);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(error));
    if (from_begin && low != 0) die("the mock cluster has dropped events");
    rd_kafka_topic_partition_list_add(all, topic.c_str(), partition)->offset = from_begin ? low : high;
    *there += high;
  }
  rd_kafka_assign(consumer, all);
  rd_kafka_topic_partition_list_destroy(all);
  return consumer;
}

void read(const std::string& servers, const std::string& topic) {
  std::int64_t left = 0;
  rd_kafka_t* const consumer = make_consumer(servers, topic, true, &left);
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

std::atomic<std::int64_t> followed_events = 0;

/// A thread does it until the program ends.
void follow(const std::string& servers, const std::string& topic, const std::string& file) {
  std::int64_t there = 0;
  rd_kafka_t* const consumer = make_consumer(servers, topic, true, &there);
  std::thread([consumer, file] {
    std::ofstream out(file);
    for (;;) {
      rd_kafka_message_t* const message = rd_kafka_consumer_poll(consumer, 100);
      if (message == nullptr) {
        out.flush();
        continue;
      }
      // Brokers that are down are errors that pass; what the cluster has dropped does not.
      if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) die("the mock cluster has dropped events");
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        out << message->partition << ' ' << std::string_view(static_cast<const char*>(message->payload), message->len)
            << std::endl;
        ++followed_events;
      }
      rd_kafka_message_destroy(message);
    }
  }).detach();
}

void wait_for_follower(const std::string& servers, const std::string& topic) {
  std::int64_t there = 0;
  rd_kafka_t* const consumer = make_consumer(servers, topic, false, &there);
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
  while (followed_events < there) {
    if (std::chrono::steady_clock::now() > deadline) die("events are missing");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

/// Both clocks are this machine's.
double lateness_ms(const rd_kafka_message_t* message) {
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  const std::string_view value(static_cast<const char*>(message->payload), message->len);
  constexpr std::string_view field = "\"ts_us\":";
  const std::size_t at = value.find(field);
  std::int64_t committed = 0;
  if (at == std::string_view::npos ||
      std::from_chars(value.data() + at + field.size(), value.data() + value.size(), committed).ec != std::errc{}) {
    die("an event without source.ts_us");
  }
  return static_cast<double>(now - committed) / 1000;
}

void measure_lateness(const std::string& servers, const std::string& topic, std::size_t count) {
  std::int64_t there = 0;
  rd_kafka_t* const consumer = make_consumer(servers, topic, false, &there);
  std::cout << "ready" << std::endl;
  std::vector<double> late;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(10 * patience_ms);
  while (late.size() < count) {
    if (std::chrono::steady_clock::now() > deadline) die("events are missing");
    rd_kafka_message_t* const message = rd_kafka_consumer_poll(consumer, 100);
    if (message == nullptr) continue;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) late.push_back(lateness_ms(message));
    rd_kafka_message_destroy(message);
  }
  std::sort(late.begin(), late.end());
  for (const int percent : {50, 95, 99, 100}) std::cout << late[(late.size() - 1) * percent / 100] << ' ';
  std::cout << "\nend" << std::endl;
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
    } else if (command == "follow" || command == "followed") {
      std::string topic;
      std::string file;
      words >> topic >> file;
      command == "follow" ? follow(servers, topic, file) : wait_for_follower(servers, topic);
      std::cout << "end" << std::endl;
    } else if (command == "late") {
      std::string topic;
      std::size_t count = 0;
      words >> topic >> count;
      measure_lateness(servers, topic, count);
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
