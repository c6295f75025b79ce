// The home of each key, from a copy of the map and the directory in shared memory; and the fence that keeps a key from
// having two homes while it moves (core/rehome.hpp).
#pragma once

#include "core/home_lease.hpp"
#include "core/home_map.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// `meridian.max_cached_pins`: keys of the directory that shared memory holds.
extern int max_cached_pins;

struct RegionName {
  char text[max_region_name + 1];  ///< empty: none
  [[nodiscard]] std::string_view view() const noexcept { return {text}; }
};

/// Where a key's writes belong.
struct Home {
  enum class Source { none, directory, column, rule };
  RegionName region;    ///< empty: the map has no region that takes the key
  RegionName target;    ///< where the key moves to now; empty if it does not move
  std::uint64_t epoch;  ///< of the change that gave it this home; while it moves, of that change
  Source source;
  bool modulo;    ///< the map's rule
  bool here;      ///< this member serves the region
  bool accepted;  ///< this member may write the key now
};

/// The home of a key. `column`: the region that its row names, which counts unless the key is in the directory; empty
/// for none. Takes one lock, shared, and now and then reads the tables. Raises 55000 in a transaction that has changed
/// them, 22P02 if the rule is modulo and the key no integer.
Home find_home(std::string_view key, std::string_view column = {});

/// A server to which writes of a region go.
struct RegionServer {
  static constexpr std::size_t longest_dsn = 1023;
  char node[NAMEDATALEN];
  char dsn[longest_dsn + 1];  ///< without secrets; empty if it is too long to be kept
  bool down;                  ///< it was probed and does not answer
};

/// The primary of the member that serves a region, the one with the smallest number: as the prober has found it, or
/// else by the member's connection string. False if the region has no member.
bool find_region_server(std::string_view region, RegionServer* server);

/// The region of this member; empty if it is none.
RegionName own_region();

/// Whether the map has the region.
bool is_home_region(std::string_view region);

/// Who votes about leases (core/home_lease.hpp).
struct Voters {
  struct List {
    int count;  ///< may be larger than the array; then there are no leases
    std::int32_t members[most_voters];
    [[nodiscard]] bool has(std::int32_t member) const noexcept;
    [[nodiscard]] std::span<const std::int32_t> span() const noexcept {
      return {members, std::min(static_cast<std::size_t>(count), most_voters)};
    }
    [[nodiscard]] bool fits() const noexcept { return count <= static_cast<int>(most_voters); }
  };
  Electorate electorate;
  std::int32_t self;  ///< this member; 0: none
  List now;
  List next;  ///< when the change in progress is done
};
Voters find_voters();

/// To be called before find_home() by whoever is going to write the key in this transaction: a change of homes waits
/// for its end. Such a transaction cannot be prepared. Raises MD052 if this server cannot know, since it started or was
/// promoted, whether its keys were taken by others meanwhile.
void begin_home_write();

/// Whether this server has asked the other members since it started, or became primary.
bool homes_confirmed();
/// It has.
void confirm_homes();
/// It must ask again: it was given up by members that it could not reach.
void doubt_homes();

/// Registers the callbacks. Called once, by `_PG_init`.
void register_home_callbacks();

/// Keeper: the tables went away with DROP EXTENSION.
void forget_homes();

/// Shared memory, for the hooks in module.cpp.
Size home_map_shmem_size();
void home_map_shmem_init();

}  // namespace meridian::pg
