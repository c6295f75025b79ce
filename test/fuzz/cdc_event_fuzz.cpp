// Frames, one or several, and positions of events: refused, or they are the one way to write what they say.
#include "core/cdc_event.hpp"

#include <string>

#include "fuzz/fuzz.hpp"

using namespace meridian;

namespace {

std::string written(const cdc::Event& event) {
  cdc::Buffer out;
  cdc::write_event_header(out, event);
  out.append(event.topic);
  for (const auto& part : {event.key, event.value, event.headers}) out.append(part.value_or(""));
  return std::string(out.view());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::as_text(data, size);
  if (const auto event = cdc::decode_event(text)) fuzz::check(written(*event) == text, "frames are canonical");
  std::string all;
  for (std::string_view frames = text; !frames.empty();) {
    const auto event = cdc::take_event(&frames);
    if (!event) break;
    all += written(*event);
    fuzz::check(text.starts_with(all) && text.substr(all.size()) == frames, "frames follow each other");
  }
  if (const auto position = cdc::parse_position(text)) {
    cdc::Buffer out;
    cdc::write_position(out, position->position, position->end_lsn);
    fuzz::check(out.view() == text, "positions are canonical");
  }
  if (const auto lsn = cdc::parse_lsn(text)) {
    cdc::Buffer out;
    cdc::write_lsn(out, *lsn);
    fuzz::check(out.view() == text, "LSNs are canonical");
  }
  return 0;
}
