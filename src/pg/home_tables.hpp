// The tables that homes are found by, read without SQL: rows that were committed until now, whatever snapshot the
// caller has.
#pragma once

#include "pg/home_key.hpp"
#include "pg/home_map.hpp"

namespace meridian::pg {

/// What the tables say, but for the directory.
struct View {
  HomeMap now;
  std::uint64_t map_epoch;
  HomeMap next;  ///< if map_moves
  bool map_moves;
  bool pin_moves;
  std::uint64_t change_epoch;  ///< of the change in progress
  char moving_key[longest_key];
  std::size_t moving_length;
  RegionName moving_to;  ///< empty: to where the map says
  RegionName self;
  int servers;
  RegionName server_regions[max_home_regions];
  std::int32_t server_members[max_home_regions];
  RegionServer region_servers[max_home_regions];
  Voters voters;
};
static_assert(std::is_trivially_copyable_v<View>);

/// Sets a name, cut to fit.
void set_name(RegionName* name, std::string_view text);

/// Fills a view that is all zeros.
void read_view(View* view);

/// A row of the directory.
struct ReadPin {
  const char* key;  ///< in UTF-8
  const char* region;
  std::uint64_t epoch;
};

/// Up to `most` rows that name a region, palloc'd.
ReadPin* read_pins(int most, int* count);

/// The directory's row of a key, if it names a region; the region is palloc'd.
bool look_up_pin(std::string_view key, const char** region, std::uint64_t* epoch);

}  // namespace meridian::pg
