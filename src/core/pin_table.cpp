#include "core/pin_table.hpp"

#include <bit>
#include <cstring>

#include "core/home_map.hpp"

namespace meridian {

std::uint32_t PinTable::places_for(std::uint32_t pins) noexcept { return pins == 0 ? 0 : std::bit_ceil(2 * pins); }

std::size_t PinTable::bytes(std::uint32_t pins) noexcept {
  return sizeof(Header) + sizeof(Entry) * std::size_t{places_for(pins)};
}

PinTable::PinTable(void* memory, std::uint32_t pins) noexcept
    : header_(static_cast<Header*>(memory)),
      entries_(reinterpret_cast<Entry*>(static_cast<char*>(memory) + sizeof(Header))),
      places_(places_for(pins)),
      pins_(pins) {}

void PinTable::reset() noexcept {
  *header_ = {0, 0};
  for (std::uint32_t i = 0; i < places_; ++i) entries_[i].region = free;
}

void PinTable::add(std::string_view key, const Pin& pin) noexcept {
  if (header_->count == pins_) {
    ++header_->left_out;
    return;
  }
  const std::uint64_t hash = home_hash(key);
  std::uint32_t at = static_cast<std::uint32_t>(hash) & (places_ - 1);
  while (entries_[at].region != free) at = (at + 1) & (places_ - 1);
  Entry& entry = entries_[at];
  entry.hash = hash;
  entry.epoch = pin.epoch;
  entry.region = pin.region;
  entry.length = static_cast<std::uint32_t>(key.size());
  if (key.size() <= longest_inline) std::memcpy(entry.key, key.data(), key.size());
  ++header_->count;
}

PinAnswer PinTable::find(std::string_view key, Pin* pin) const noexcept {
  const PinAnswer missing = header_->left_out == 0 ? PinAnswer::not_pinned : PinAnswer::ask;
  if (header_->count == 0) return missing;
  const std::uint64_t hash = home_hash(key);
  for (std::uint32_t at = static_cast<std::uint32_t>(hash) & (places_ - 1); entries_[at].region != free;
       at = (at + 1) & (places_ - 1)) {
    const Entry& entry = entries_[at];
    if (entry.hash != hash || entry.length != key.size()) continue;
    if (key.size() > longest_inline) return PinAnswer::ask;
    if (std::memcmp(entry.key, key.data(), key.size()) != 0) continue;
    *pin = {entry.region, entry.epoch};
    return PinAnswer::pinned;
  }
  return missing;
}

}  // namespace meridian
