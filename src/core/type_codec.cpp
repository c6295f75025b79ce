#include "core/type_codec.hpp"

#include <limits>

#include "core/error.hpp"

namespace meridian {

void put_seen(Writer& out, const VersionVector& seen) {
  out.room_for(1 + 3 * seen.items().size());
  out.varint(seen.items().size());
  for (const Dot& dot : seen.items()) {
    out.varint(dot.actor.member());
    out.varint(dot.actor.epoch());
    out.varint(dot.number);
  }
}

void put_element(Writer& out, std::string_view element) {
  out.room_for(1);
  out.varint(element.size());
  out.raw(element);
}

void put_dot(Writer& out, const VersionVector& seen, Dot dot) {
  out.room_for(2);
  out.varint(seen.index_of(dot.actor));
  out.varint(dot.number);
}

void take_head(Reader& in, TypeKind kind) {
  if (in.remaining() > max_type_size) {
    throw Error(ErrorKind::limit_exceeded, "state of a value exceeds " + std::to_string(max_type_size) + " bytes");
  }
  if (in.byte() != (type_format << 4 | static_cast<int>(kind))) in.fail("unknown format");
}

std::size_t take_count(Reader& in, std::size_t least_bytes) {
  return static_cast<std::size_t>(in.varint_up_to(in.remaining() / least_bytes));
}

Actor take_actor(Reader& in) {
  constexpr std::uint64_t largest = std::numeric_limits<std::uint16_t>::max();
  const auto member = static_cast<std::uint16_t>(in.varint_up_to(largest));
  return Actor::from_parts(static_cast<std::uint16_t>(in.varint_up_to(largest)), member);
}

VersionVector take_seen(Reader& in) {
  VersionVector seen;
  const std::size_t count = take_count(in, 3);
  for (std::size_t i = 0; i < count; ++i) {
    const Actor actor = take_actor(in);
    if (!seen.items().empty() && actor <= seen.items().back().actor) in.fail("actors are not in order");
    const std::uint64_t number = in.varint();
    if (number == 0) in.fail("an actor without a write");
    seen.see({actor, number});
  }
  return seen;
}

std::string take_element(Reader& in) {
  const std::string_view element = in.raw(take_count(in, 1));
  if (element.find('\0') != std::string_view::npos) in.fail("a zero byte is no text");
  return std::string(element);
}

Dot take_dot(Reader& in, const VersionVector& seen) {
  if (seen.items().empty()) in.fail("a write of nobody");
  const Dot& last = seen.items()[static_cast<std::size_t>(in.varint_up_to(seen.items().size() - 1))];
  const std::uint64_t number = in.varint_up_to(last.number);
  if (number == 0) in.fail("writes are counted from 1");
  return {last.actor, number};
}

void take_end(const Reader& in) {
  if (in.remaining() != 0) in.fail("bytes follow its end");
}

void ContentNumber::add(std::string_view part) noexcept {
  const auto mix = [this](unsigned char byte) { hash_ = (hash_ ^ byte) * 0x100000001b3ULL; };
  for (const char c : part) mix(static_cast<unsigned char>(c));
  mix(0);  // texts hold no zero byte, so this ends each of them
}

std::uint64_t ContentNumber::value() const noexcept {
  const std::uint64_t folded = (hash_ ^ (hash_ >> 32)) & 0xffffffffU;
  return folded == 0 ? 1 : folded;
}

}  // namespace meridian
