// What the prober knows of all servers, and what it makes of it. Core lane: no PostgreSQL call, and time is told.
//
// Tables say which servers there are (set_targets); probes say how each is (answered, failed). decide() then finds out
// who writes for each member, moves every server along the table of core/health.hpp, and measures lags. fill() writes
// all of it down for readers.
//
// An answer is kept when later probes fail: who wrote last, writes until somebody else does.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "core/dsn.hpp"
#include "core/lag_rule.hpp"
#include "core/succession.hpp"
#include "pg/probe.hpp"
#include "pg/registry.hpp"

namespace meridian::pg {

/// A row of meridian.probe_targets().
struct Target {
  int member = 0;
  std::string name;
  std::string region;
  std::string dsn;  ///< empty: it cannot be reached from elsewhere
  bool is_primary = false;
  int weight = 1;
  bool drained = false;
  std::string upstream;
  bool trusted = true;
};

/// A row of meridian.probe_context().
struct MemberFacts {
  int member = 0;
  bool own = false;
  std::string mesh;
  Reign reign;
  std::string digest;
  Reign stored;  ///< the row of meridian.reign
};

/// The columns of meridian.answer_probe() as text, null for NULL.
inline constexpr std::size_t answer_columns = 18;
inline constexpr std::size_t lease_column = 16;
using AnswerTexts = std::array<const char*, answer_columns>;

struct Answer {
  std::string mesh;
  int member = 0;
  Reign reign;
  bool in_recovery = false;
  std::uint64_t written = 0;
  std::uint64_t received = 0;
  std::uint64_t replayed = 0;
  bool paused = false;
  bool receiving = false;
  std::string sender_host;
  std::string sender_port;
  AppliedPositions applied{};
  std::string digest;
};

/// Throws std::invalid_argument for what no server of ours says.
Answer read_answer(const AnswerTexts& texts);

/// Limits and intervals of the settings, in microseconds and bytes.
struct WatchLimits {
  LagLimits time;
  LagLimits bytes;
  std::int64_t stale;  ///< an older sample says nothing of now
};

struct WatchedServer {
  Target target;
  ServerAddress address;
  std::string address_text;
  std::string redacted;
  Probe probe;
  bool is_self = false;
  bool listed = false;  ///< in the tables

  std::optional<Answer> answer;        ///< the last one
  std::int64_t asked_at = 0;           ///< for that answer
  std::int64_t lease_asked_at = 0;     ///< when the question under way was begun, lease_clock_us()
  std::uint64_t lease_electorate = 0;  ///< for which
  std::int64_t sampled_at = 0;
  std::int64_t last_seen = 0;  ///< wall clock
  std::string error;           ///< why the last probe failed

  Health health = Health::unknown;
  std::int64_t since = 0;  ///< wall clock
  int misses = 0;
  bool writes = false;
  bool probed = false;  ///< since the last decide(): answer or error is new
  LagGate late;
  LagGate large;

  ProbeClock::time_point due{};
  ProbeClock::duration backoff{};
};

/// Who is asking.
struct Self {
  std::string name;    ///< meridian.node
  std::string region;  ///< meridian.region
  std::string dsn;     ///< meridian.advertise_dsn
  bool in_recovery = false;
};

class Watch {
 public:
  using Servers = std::vector<std::unique_ptr<WatchedServer>>;

  /// The servers that there are now, up to `most`; what is known of those that stay is kept.
  void set_targets(std::vector<Target> targets, std::vector<MemberFacts> members, const Self& self, std::size_t most,
                   std::int64_t wall);

  void answered(WatchedServer& server, const AnswerTexts& texts, std::int64_t asked_at, std::int64_t now,
                std::int64_t wall);
  void failed(WatchedServer& server, std::string error);
  void decide(std::int64_t now, std::int64_t wall, const WatchLimits& limits);
  /// Returns how many servers it wrote down.
  int fill(const Topology& topology, std::int64_t now, const WatchLimits& limits) const;

  [[nodiscard]] const Servers& servers() const noexcept { return servers_; }
  [[nodiscard]] std::size_t left_out() const noexcept { return left_out_; }
  /// Null if it is not among the servers.
  [[nodiscard]] WatchedServer* self() const noexcept { return self_; }
  /// The server that writes for the member, or null.
  [[nodiscard]] WatchedServer* writer_of(int member) const noexcept;
  /// The latest reign of the member that was ever seen.
  [[nodiscard]] Reign seen_of(int member) const noexcept;
  [[nodiscard]] const MemberFacts* own_member() const noexcept;
  [[nodiscard]] const MemberFacts* facts_of(int member) const noexcept;
  /// The server that this one streams from, as far as known.
  [[nodiscard]] std::string upstream_of(const WatchedServer& server) const;

 private:
  struct Member {
    MemberFacts facts;
    Reign seen;
    WalClock clock;
    Reign of_clock;
    WatchedServer* writer = nullptr;
  };

  void adopt(std::vector<MemberFacts> facts);
  /// `unlisted`: what is known of this server if it is in no table, or null.
  void choose_self(const Self& self, std::unique_ptr<WatchedServer> unlisted, std::size_t most, std::int64_t wall);
  [[nodiscard]] Member* find(int member) noexcept;
  [[nodiscard]] const Member* find(int member) const noexcept { return const_cast<Watch*>(this)->find(member); }
  void find_writer(Member& member);
  void note_position(Member& member);
  void move(WatchedServer& server, HealthEvent event, std::int64_t wall);
  [[nodiscard]] bool is_heard(const WatchedServer& server, std::int64_t now, const WatchLimits& limits) const;
  [[nodiscard]] bool follows(const WatchedServer& server) const;
  [[nodiscard]] std::optional<std::int64_t> lag(const WatchedServer& server, std::int64_t now,
                                                const WatchLimits& limits) const;
  [[nodiscard]] std::optional<std::int64_t> lag_bytes(const WatchedServer& server, std::int64_t now,
                                                      const WatchLimits& limits) const;
  void fill_route(const WatchedServer& server, RouteServer* to, std::int64_t now, const WatchLimits& limits) const;
  void fill_detail(const WatchedServer& server, ServerDetail* to, std::int64_t now, const WatchLimits& limits) const;

  Servers servers_;
  std::vector<Member> members_;
  WatchedServer* self_ = nullptr;
  std::size_t left_out_ = 0;
};

}  // namespace meridian::pg
