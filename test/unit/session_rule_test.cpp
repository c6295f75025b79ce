#include "core/session_rule.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <vector>

#include "core/session_file.hpp"
#include "unit/session_tables.hpp"

namespace meridian {
namespace {

using test::key_of;
using test::OwnedSessionTable;

constexpr std::uint64_t this_system = 4711;

Reach standby_at(std::uint32_t timeline, std::uint64_t lsn) { return {this_system, timeline, lsn, {}, false, false}; }

TEST(SessionRule, TheTable) {
  using enum SessionVerdict;
  const Reach here = standby_at(2, 100);
  Reach primary = here;
  primary.issues = true;
  const Position behind{this_system, 2, 100};
  const Position ahead{this_system, 2, 101};
  EXPECT_EQ(judge_session(primary, {}, {}), yes);
  EXPECT_EQ(judge_session(primary, {}, ahead), yes) << "what was mirrored as a standby is void";
  EXPECT_EQ(judge_session(here, {}, {}), ask);
  EXPECT_EQ(judge_session(here, behind, {}), yes);
  EXPECT_EQ(judge_session(here, ahead, {}), not_yet);
  EXPECT_EQ(judge_session(here, {}, behind), ask) << "the mirror never says yes";
  EXPECT_EQ(judge_session(here, {}, ahead), not_yet);
  EXPECT_EQ(judge_session(here, behind, ahead), yes) << "the answer is the newer of the two";
  EXPECT_EQ(judge_session(here, Position{this_system, 1, 1}, {}), refuse) << "from a server that was left behind";
  EXPECT_EQ(judge_session(here, Position{this_system, 3, 1}, {}), not_yet) << "this server has yet to follow";
  EXPECT_EQ(judge_session(here, Position{815, 2, 1}, {}), refuse) << "from a stranger";
  EXPECT_EQ(judge_session(here, {}, Position{this_system, 1, 101}), ask) << "it may have been lost";
  EXPECT_EQ(judge_session(here, {}, Position{this_system, 3, 101}), ask);
  EXPECT_EQ(judge_session(here, {}, Position{815, 2, 101}), ask);
}

struct Write {
  std::uint64_t session;
  std::uint32_t timeline;
  std::uint64_t lsn;
  int acknowledged = INT_MAX;  ///< in which step
  bool lost = false;
};

struct Server {
  bool primary = false;
  std::uint32_t timeline = 1;
  std::uint64_t lsn = 1;  ///< end of its WAL, or of what it has replayed
  OwnedSessionTable table{6};

  [[nodiscard]] Reach reach() const {
    Reach reach = standby_at(timeline, lsn);
    reach.issues = primary;
    return reach;
  }
};

struct Read {
  std::size_t reader;
  std::uint64_t session;
  int arrived;
  std::optional<Position> answer;
  bool from_left_behind = false;
};

/// A primary, its standby and a standby of that; at most one promotion, of the first standby.
class World {
 public:
  explicit World(std::uint32_t seed) : random_(seed) {
    servers_[0].primary = true;
    servers_[0].lsn = 10;
  }

  void run(int steps) {
    for (now_ = 1; now_ <= steps && !testing::Test::HasFatalFailure(); ++now_) step();
    replay(1, true);
    replay(2, true);
    for (std::uint64_t session = 0; session < sessions; ++session) {
      for (const std::size_t reader : {1U, 2U}) {
        const Read read{reader, session, now_, ask(session)};
        EXPECT_EQ(verdict(read), SessionVerdict::yes) << "what has been replayed can be read";
      }
    }
  }

  std::array<int, 4> verdicts{};
  int mirrored = 0;

 private:
  static constexpr std::uint64_t sessions = 12;  // twice as many as have a place

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  Server& primary() { return servers_[primary_]; }

  void step() {
    switch (pick(14)) {
      case 0:
      case 1:
      case 2:
        commit();
        break;
      case 3:
      case 4:
        acknowledge();
        break;
      case 5:
        replay(1, false);
        break;
      case 6:
        replay(2, false);
        break;
      case 7:
      case 8:
        arrive();
        break;
      case 9:
      case 10:
      case 11:
        proceed();
        break;
      case 12:
        accident();
        break;
      default:
        housekeeping();
    }
  }

  void commit() {
    writes_.push_back({pick(sessions), primary().timeline, ++primary().lsn});
    unacknowledged_.push_back(writes_.size() - 1);
  }

  /// The commit callback of any of those that are under way, and the reply to its client.
  void acknowledge() {
    if (unacknowledged_.empty()) return;
    const auto chosen = unacknowledged_.begin() + static_cast<std::ptrdiff_t>(pick(unacknowledged_.size()));
    Write& write = writes_[*chosen];
    unacknowledged_.erase(chosen);
    const SessionKey key = key_of(write.session);
    prepare(key);
    primary().table.note(key, {write.lsn, now_});
    write.acknowledged = now_;
  }

  /// As the commit callback and the questions do it.
  void prepare(const SessionKey& key) {
    Server& server = primary();
    const std::uint32_t partition = server.table.partition_of(key);
    if (!server.table.is(partition, SessionRole::authority, server.timeline))
      server.table.begin(partition, SessionRole::authority, server.timeline, {floor_, now_});
  }

  Position ask(std::uint64_t session) {
    prepare(key_of(session));
    return {this_system, primary().timeline, primary().table.last_write(key_of(session)).lsn};
  }

  void replay(std::size_t which, bool all) {
    Server& standby = servers_[which];
    if (standby.primary) return;
    const Server& upstream = which == 1 ? primary() : servers_[1];
    // It follows to a later timeline once it has replayed all up to where that began.
    if (upstream.timeline > standby.timeline && standby.lsn <= switched_) {
      if (standby.lsn < switched_) standby.lsn = all ? switched_ : standby.lsn + 1 + pick(switched_ - standby.lsn);
      if (standby.lsn == switched_) standby.timeline = upstream.timeline;
    }
    if (standby.timeline == upstream.timeline && standby.lsn < upstream.lsn)
      standby.lsn = all ? upstream.lsn : standby.lsn + 1 + pick(upstream.lsn - standby.lsn);
  }

  void arrive() {
    const Read read{1 + pick(2), pick(sessions), now_, std::nullopt};
    const Server& reader = servers_[read.reader];
    std::optional<Position> mirror;
    const SessionKey key = key_of(read.session);
    const std::uint32_t partition = reader.table.partition_of(key);
    if (reader.table.role(partition) == SessionRole::mirror) {
      if (const SessionEntry* const entry = reader.table.find(key))
        mirror = {this_system, reader.table.timeline(partition), entry->write.lsn};
    }
    const SessionVerdict said = judge_session(reader.reach(), std::nullopt, mirror);
    if (said == SessionVerdict::not_yet) ++mirrored;
    if (said == SessionVerdict::yes) {
      ASSERT_TRUE(reader.primary) << "a standby cannot know without asking";
    }
    if (said == SessionVerdict::ask) reads_.push_back(read);
  }

  /// A request reaches the primary, or the answer reaches the reader and is judged.
  void proceed() {
    if (reads_.empty()) return;
    const auto chosen = reads_.begin() + static_cast<std::ptrdiff_t>(pick(reads_.size()));
    if (!chosen->answer) {
      chosen->from_left_behind = primary_ != 0 && pick(3) == 0;
      chosen->answer = chosen->from_left_behind ? Position{this_system, 1, 1} : ask(chosen->session);
      mirror(*chosen);
      return;
    }
    const Read read = *chosen;
    reads_.erase(chosen);
    // Whoever still follows a server that was left behind cannot know it.
    if (read.from_left_behind && servers_[read.reader].timeline == 1) return;
    const SessionVerdict said = verdict(read);
    ++verdicts[static_cast<std::size_t>(said)];
    if (said == SessionVerdict::yes) check(read);
  }

  [[nodiscard]] SessionVerdict verdict(const Read& read) const {
    return judge_session(servers_[read.reader].reach(), read.answer, std::nullopt);
  }

  void mirror(const Read& read) {
    Server& reader = servers_[read.reader];
    const SessionKey key = key_of(read.session);
    const std::uint32_t partition = reader.table.partition_of(key);
    if (reader.primary) return;
    if (!reader.table.is(partition, SessionRole::mirror, read.answer->timeline))
      reader.table.begin(partition, SessionRole::mirror, read.answer->timeline, {});
    reader.table.note(key, {read.answer->lsn, now_});
  }

  void check(const Read& read) const {
    const Server& reader = servers_[read.reader];
    for (const Write& write : writes_) {
      if (write.session != read.session || write.lost || write.acknowledged >= read.arrived) continue;
      const bool followed = write.timeline <= reader.timeline;
      ASSERT_TRUE(followed && write.lsn <= reader.lsn)
          << "stale: written at " << write.lsn << " and acknowledged in step " << write.acknowledged
          << ", read in step " << read.arrived << " at " << reader.lsn;
    }
  }

  void accident() {
    switch (pick(12)) {
      case 0:  // crash: the table is gone, WAL is not
        unacknowledged_.clear();
        floor_ = primary().lsn;
        primary().table.reset();
        break;
      case 1:
        restart();
        break;
      case 2:
        promote();
        break;
      default:
        break;
    }
  }

  void restart() {
    unacknowledged_.clear();
    floor_ = primary().lsn;
    const SessionFileOrigin origin{this_system, primary().lsn, primary().timeline};
    std::vector<std::uint8_t> file(session_file_size(primary().table, primary().timeline));
    if (!file.empty()) write_session_file(primary().table, origin, file);
    primary().table.reset();
    EXPECT_EQ(read_session_file(file, origin, primary().table), !file.empty());
  }

  void promote() {
    if (primary_ == 1) return;
    switched_ = servers_[1].lsn;
    for (Write& write : writes_) write.lost = write.lsn > switched_;
    unacknowledged_.clear();
    servers_[0].primary = false;
    servers_[1].primary = true;
    servers_[1].timeline = 2;
    primary_ = 1;
    floor_ = switched_;
    // The second standby may have replayed what the first has not: then it cannot follow and is made anew.
    if (servers_[2].lsn > switched_) servers_[2].lsn = switched_;
  }

  void housekeeping() {
    OwnedSessionTable& table = primary().table;
    const SessionKey key = key_of(pick(sessions));
    const std::uint32_t partition = table.partition_of(key);
    if (!table.is(partition, SessionRole::authority, primary().timeline)) return;
    if (pick(2) == 0) {
      table.forget(key);
    } else {
      table.sweep(partition, 0, 3, {now_ - 50, now_ - 5, std::min(servers_[1].lsn, servers_[2].lsn)});
    }
  }

  std::mt19937_64 random_;
  int now_ = 0;
  std::array<Server, 3> servers_;
  std::size_t primary_ = 0;
  std::uint64_t floor_ = 10;    ///< where a table begins that knows nothing
  std::uint64_t switched_ = 0;  ///< where the second timeline began
  std::vector<Write> writes_;
  std::vector<std::size_t> unacknowledged_;
  std::vector<Read> reads_;
};

TEST(SessionRule, NoHistoryMakesAStaleRead) {
  std::array<int, 4> verdicts{};
  int mirrored = 0;
  for (std::uint32_t seed = 0; seed < 3'000; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    world.run(400);
    if (HasFailure()) return;
    for (std::size_t i = 0; i < verdicts.size(); ++i) verdicts[i] += world.verdicts[i];
    mirrored += world.mirrored;
  }
  // The histories are worth something only if all of this happens.
  EXPECT_GT(verdicts[static_cast<std::size_t>(SessionVerdict::yes)], 10'000);
  EXPECT_GT(verdicts[static_cast<std::size_t>(SessionVerdict::not_yet)], 10'000);
  EXPECT_GT(verdicts[static_cast<std::size_t>(SessionVerdict::refuse)], 100);
  EXPECT_GT(mirrored, 1'000);
}

}  // namespace
}  // namespace meridian
