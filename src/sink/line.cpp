#include "sink/line.hpp"

#include "core/cdc_buffer.hpp"
#include "core/json_string.hpp"

namespace meridian::sink {

std::string line_of(const SinkEvent& event) {
  cdc::Buffer position;
  cdc::write_position(position, event.position);
  std::string line = R"({"topic":)";
  append_json_string(line, event.topic);
  line += R"(,"position":")";
  line += position.view();
  line += R"(","key":)";
  line += event.key.value_or("null");
  line += R"(,"value":)";
  line += event.value.value_or("null");
  if (event.headers) line += R"(,"headers":)" + *event.headers;
  line += "}\n";
  return line;
}

}  // namespace meridian::sink
