// Options of the output plugin, `name=value` in lines: set, or refused with an Error that has a hint.
#include "core/cdc_options.hpp"

#include "core/error.hpp"
#include "fuzz/fuzz.hpp"

using namespace meridian;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = fuzz::as_text(data, size);
  cdc::Options options;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() == rest.size() ? line.size() : line.size() + 1);
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    try {
      cdc::set_option(options, line.substr(0, equals), line.substr(equals + 1));
      cdc::check_options(options);
    } catch (const Error& error) {
      fuzz::check(error.kind() == ErrorKind::invalid_rule, "what is wrong is a parameter");
      fuzz::check(!error.hint().empty(), "the error says what would be right");
    }
  }
  static_cast<void>(options.wants_table("public", "orders"));
  static_cast<void>(options.wants_column("public", "orders", "status"));
  static_cast<void>(options.wants_message("outbox"));
  const std::string topic = cdc::topic_name(options.topic, "p", "s", "t");
  fuzz::check(topic.size() <= 249, "topics have names that Kafka takes");
  return 0;
}
