// Who waits for which position: a binary heap with the nearest target on top, in memory that its processes share.
//
// A place is taken from the free ones when a wait begins, may go in and out of the heap during it, and is given back
// when it ends. A place in the heap knows where in the heap it is, so it can leave from anywhere. Everything is O(log
// n); nothing allocates or throws. Whoever calls holds the lock that guards the memory.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

namespace meridian {

struct WaitPlace {
  std::uint64_t target;
  std::uint32_t owner;      ///< the caller's
  std::uint32_t heap_spot;  ///< where the heap holds it; `outside` if it does not
};

class WaitHeap {
 public:
  static constexpr std::uint32_t outside = UINT32_MAX;

  /// The part that is shared, before the places.
  struct Header {
    std::uint32_t capacity;
    std::uint32_t free;    ///< number of free places
    std::uint32_t queued;  ///< number of places in the heap
  };

  /// Bytes that a heap of `capacity` places needs.
  static constexpr std::size_t bytes(std::uint32_t capacity) noexcept {
    return sizeof(Header) + std::size_t{capacity} * (sizeof(WaitPlace) + 2 * sizeof(std::uint32_t)) +
           alignof(WaitPlace);
  }

  WaitHeap() = default;
  /// `memory`: bytes(capacity) of it, aligned as a WaitPlace.
  WaitHeap(void* memory, std::uint32_t capacity) noexcept
      : header_(static_cast<Header*>(memory)),
        places_(reinterpret_cast<WaitPlace*>(static_cast<char*>(memory) + (sizeof(Header) + alignof(WaitPlace) - 1) /
                                                                              alignof(WaitPlace) * alignof(WaitPlace))),
        heap_(reinterpret_cast<std::uint32_t*>(places_ + capacity)),
        free_(heap_ + capacity) {}

  /// Makes the memory an empty heap. Once, before anybody uses it.
  void reset(std::uint32_t capacity) noexcept {
    *header_ = {capacity, capacity, 0};
    for (std::uint32_t i = 0; i < capacity; ++i) {
      places_[i] = {0, 0, outside};
      free_[i] = capacity - 1 - i;
    }
  }

  [[nodiscard]] std::uint32_t capacity() const noexcept { return header_->capacity; }
  [[nodiscard]] std::uint32_t taken() const noexcept { return header_->capacity - header_->free; }
  [[nodiscard]] std::uint32_t queued() const noexcept { return header_->queued; }

  /// A place outside the heap; nothing if all are taken.
  std::optional<std::uint32_t> take(std::uint32_t owner) noexcept {
    if (header_->free == 0) return std::nullopt;
    const std::uint32_t place = free_[--header_->free];
    places_[place] = {0, owner, outside};
    return place;
  }

  /// Gives it back, out of the heap if it is in there.
  void give_back(std::uint32_t place) noexcept {
    leave(place);
    free_[header_->free++] = place;
  }

  /// Puts a place into the heap, or moves it to another target.
  void wait_for(std::uint32_t place, std::uint64_t target) noexcept {
    leave(place);
    places_[place].target = target;
    put(header_->queued, place);
    rise(header_->queued++);
  }

  void leave(std::uint32_t place) noexcept {
    const std::uint32_t spot = places_[place].heap_spot;
    if (spot == outside) return;
    places_[place].heap_spot = outside;
    const std::uint32_t last = heap_[--header_->queued];
    if (last == place) return;
    put(spot, last);
    rise(spot);
    sink(places_[last].heap_spot);
  }

  /// The smallest target that somebody waits for.
  [[nodiscard]] std::optional<std::uint64_t> nearest() const noexcept {
    if (header_->queued == 0) return std::nullopt;
    return places_[heap_[0]].target;
  }

  /// Takes one whose target is at or below `reached` out of the heap, and returns its owner.
  std::optional<std::uint32_t> pop(std::uint64_t reached) noexcept {
    if (header_->queued == 0 || places_[heap_[0]].target > reached) return std::nullopt;
    const std::uint32_t place = heap_[0];
    leave(place);
    return places_[place].owner;
  }

 private:
  [[nodiscard]] std::uint64_t target_at(std::uint32_t spot) const noexcept { return places_[heap_[spot]].target; }

  void put(std::uint32_t spot, std::uint32_t place) noexcept {
    heap_[spot] = place;
    places_[place].heap_spot = spot;
  }

  void exchange(std::uint32_t a, std::uint32_t b) noexcept {
    const std::uint32_t place = heap_[a];
    put(a, heap_[b]);
    put(b, place);
  }

  void rise(std::uint32_t spot) noexcept {
    while (spot > 0 && target_at(spot) < target_at((spot - 1) / 2)) {
      exchange(spot, (spot - 1) / 2);
      spot = (spot - 1) / 2;
    }
  }

  void sink(std::uint32_t spot) noexcept {
    for (;;) {
      std::uint32_t smallest = spot;
      for (std::uint32_t child = 2 * spot + 1; child <= 2 * spot + 2 && child < header_->queued; ++child) {
        if (target_at(child) < target_at(smallest)) smallest = child;
      }
      if (smallest == spot) return;
      exchange(spot, smallest);
      spot = smallest;
    }
  }

  Header* header_ = nullptr;
  WaitPlace* places_ = nullptr;
  std::uint32_t* heap_ = nullptr;
  std::uint32_t* free_ = nullptr;
};

}  // namespace meridian
