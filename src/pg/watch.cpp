#include "pg/watch.hpp"

#include "core/error.hpp"
#include "pg/setup/error.hpp"

namespace meridian::pg {
namespace {

std::string text_or_empty(const char* text) { return text == nullptr ? std::string() : std::string(text); }
bool is_true(const char* text) { return text != nullptr && text[0] == 't'; }

template <typename Number>
Number number(const char* text, int base = 10) {
  Number value{};
  if (text == nullptr) return value;
  const char* const end = text + std::strlen(text);
  const auto [stop, failure] = std::from_chars(text, end, value, base);
  if (failure != std::errc() || stop != end) throw std::invalid_argument("not a number");
  return value;
}

std::uint64_t position(const char* text) {
  if (text == nullptr) return 0;
  const std::string_view whole(text);
  const auto slash = whole.find('/');
  if (slash == std::string_view::npos) throw std::invalid_argument("not a position");
  const std::string high(whole.substr(0, slash));
  return std::uint64_t{number<std::uint32_t>(high.c_str(), 16)} << 32 | number<std::uint32_t>(text + slash + 1, 16);
}

/// Cut to fit, not within a character of UTF-8.
template <std::size_t size>
void put_text(char (&to)[size], std::string_view text) {
  std::size_t length = std::min(text.size(), size - 1);
  if (length < text.size()) {
    while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  }
  std::memcpy(to, text.data(), length);
  std::memset(to + length, 0, size - length);
}

void read_address(WatchedServer& server) {
  server.address = {};
  try {
    server.address = address_of(setup::Conninfo(server.target.dsn, "the connection string").given());
  } catch (const setup::SetupError&) {
    // Its probe says so.
  }
  server.address_text = to_conninfo(server.address);
  server.redacted = server.target.dsn.empty() ? std::string() : setup::redacted_dsn(server.target.dsn);
}

}  // namespace

Answer read_answer(const AnswerTexts& texts) {
  Answer answer;
  answer.mesh = text_or_empty(texts[0]);
  answer.member = number<int>(texts[1]);
  answer.reign = {number<std::uint64_t>(texts[4]), number<std::uint32_t>(texts[5]), number<std::uint32_t>(texts[2])};
  answer.in_recovery = is_true(texts[6]);
  answer.written = position(texts[7]);
  answer.received = position(texts[8]);
  answer.replayed = position(texts[9]);
  answer.paused = is_true(texts[10]);
  answer.receiving = is_true(texts[11]);
  answer.sender_host = text_or_empty(texts[12]);
  answer.sender_port = text_or_empty(texts[13]);
  if (texts[14] != nullptr) {
    try {
      const Token token = parse_token(texts[14]).token;
      for (const Position& each : token.positions()) answer.applied.positions[answer.applied.count++] = each;
    } catch (const Error&) {
      throw std::invalid_argument("not a token");
    }
  }
  answer.digest = text_or_empty(texts[15]);
  if (answer.reign.system_id == 0) throw std::invalid_argument("no system identifier");
  return answer;
}

void Watch::set_targets(std::vector<Target> targets, std::vector<MemberFacts> members, const Self& self,
                        std::size_t most, std::int64_t wall) {
  Servers before = std::move(servers_);
  servers_.clear();
  self_ = nullptr;
  left_out_ = targets.size() > most ? targets.size() - most : 0;
  if (targets.size() > most) targets.resize(most);
  for (Target& target : targets) {
    const auto found = std::find_if(before.begin(), before.end(), [&target](const auto& each) {
      return each != nullptr && each->target.member == target.member && each->target.name == target.name;
    });
    auto server = found == before.end() ? std::make_unique<WatchedServer>() : std::move(*found);
    const bool known = found != before.end() && server->target.dsn == target.dsn;
    if (found == before.end()) server->since = wall;
    server->is_self = false;
    server->listed = true;
    server->target = std::move(target);
    if (!known) read_address(*server);
    servers_.push_back(std::move(server));
  }
  adopt(std::move(members));
  const auto unlisted =
      std::find_if(before.begin(), before.end(), [](const auto& each) { return each != nullptr && !each->listed; });
  choose_self(self, unlisted == before.end() ? nullptr : std::move(*unlisted), most, wall);
}

void Watch::adopt(std::vector<MemberFacts> facts) {
  std::vector<Member> before = std::move(members_);
  members_.clear();
  for (MemberFacts& each : facts) {
    const auto found = std::find_if(before.begin(), before.end(),
                                    [&each](const Member& member) { return member.facts.member == each.member; });
    Member member = found == before.end() ? Member{} : std::move(*found);
    for (const Reign& known : {each.reign, each.stored}) {
      if (known.system_id != 0 && (member.seen.system_id == 0 || is_over(member.seen, known))) member.seen = known;
    }
    member.facts = std::move(each);
    member.writer = nullptr;
    members_.push_back(std::move(member));
  }
}

void Watch::choose_self(const Self& self, std::unique_ptr<WatchedServer> unlisted, std::size_t most,
                        std::int64_t wall) {
  const MemberFacts* const own = own_member();
  if (own == nullptr) return;
  const auto choose = [&](auto is_it) {
    for (const auto& server : servers_) {
      if (self_ == nullptr && server->target.member == own->member && is_it(server->target)) self_ = server.get();
    }
  };
  choose([&self](const Target& target) { return target.name == self.name; });
  if (!self.in_recovery) choose([](const Target& target) { return target.is_primary; });
  if (self_ == nullptr && servers_.size() < most && !self.name.empty()) {
    auto server = unlisted == nullptr ? std::make_unique<WatchedServer>() : std::move(unlisted);
    if (server->since == 0) server->since = wall;
    server->target = {own->member, self.name, self.region, self.dsn, false, 1, false, {}, true};
    read_address(*server);
    self_ = server.get();
    servers_.push_back(std::move(server));
  }
  if (self_ == nullptr) return;
  self_->is_self = true;
  self_->probe.close();
}

void Watch::answered(WatchedServer& server, const AnswerTexts& texts, std::int64_t asked_at, std::int64_t now,
                     std::int64_t wall) {
  Answer answer;
  try {
    answer = read_answer(texts);
  } catch (const std::invalid_argument&) {
    failed(server, "its answer cannot be read");
    return;
  }
  const MemberFacts* const facts = facts_of(server.target.member);
  if (facts == nullptr) return;
  if (answer.mesh != facts->mesh || answer.member != facts->member) {
    failed(server, answer.mesh.empty() ? "the connection string leads to a server that is in no mesh"
                                       : "the connection string leads to another member or mesh");
    return;
  }
  server.answer = std::move(answer);
  server.asked_at = asked_at;
  server.sampled_at = now;
  server.last_seen = wall;
  server.error.clear();
  server.misses = 0;
  server.probed = true;
}

void Watch::failed(WatchedServer& server, std::string error) {
  server.error = std::move(error);
  ++server.misses;
  server.probed = true;
}

Watch::Member* Watch::find(int member) noexcept {
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [member](const Member& each) { return each.facts.member == member; });
  return found == members_.end() ? nullptr : &*found;
}

WatchedServer* Watch::writer_of(int member) const noexcept {
  const Member* const found = find(member);
  return found == nullptr ? nullptr : found->writer;
}

Reign Watch::seen_of(int member) const noexcept {
  const Member* const found = find(member);
  return found == nullptr ? Reign{} : found->seen;
}

const MemberFacts* Watch::facts_of(int member) const noexcept {
  const Member* const found = find(member);
  return found == nullptr ? nullptr : &found->facts;
}

const MemberFacts* Watch::own_member() const noexcept {
  const auto found =
      std::find_if(members_.begin(), members_.end(), [](const Member& member) { return member.facts.own; });
  return found == members_.end() ? nullptr : &found->facts;
}

void Watch::find_writer(Member& member) {
  std::vector<Claim> claims;
  std::vector<WatchedServer*> of;
  for (const auto& server : servers_) {
    if (server->target.member != member.facts.member) continue;
    if (server->answer && !server->answer->in_recovery) {
      claims.push_back({server->answer->reign, server->writes, server->target.is_primary});
      of.push_back(server.get());
    }
    server->writes = false;
  }
  const std::size_t found = find_primary(claims, member.seen);
  member.writer = found == nobody_writes ? nullptr : of[found];
  if (member.writer != nullptr) member.writer->writes = true;
}

/// Positions of two timelines or systems do not compare.
void Watch::note_position(Member& member) {
  if (member.writer == nullptr) return;
  const Reign& reign = member.writer->answer->reign;
  if (reign.system_id != member.of_clock.system_id || reign.timeline != member.of_clock.timeline) member.clock.clear();
  member.of_clock = reign;
  member.clock.note(member.writer->asked_at, member.writer->answer->written);
}

void Watch::move(WatchedServer& server, HealthEvent event, std::int64_t wall) {
  const Health to = health_edge(server.health, event).to;
  if (to == server.health) return;
  server.health = to;
  server.since = wall;
}

void Watch::decide(std::int64_t now, std::int64_t wall, const WatchLimits& limits) {
  for (Member& member : members_) {
    find_writer(member);
    note_position(member);
  }
  for (const auto& each : servers_) {
    WatchedServer& server = *each;
    const bool left_behind = server.answer && !server.answer->in_recovery && !server.writes;
    if (!server.probed) {
      // Another server's answer can show that this one was left behind.
      const bool well = server.health != Health::unknown && server.health != Health::down;
      if (left_behind && well) move(server, HealthEvent::answered_diverged, wall);
      continue;
    }
    server.probed = false;
    if (!server.error.empty()) {
      move(server, server.misses >= probes_to_lose ? HealthEvent::lost : HealthEvent::missed, wall);
    } else if (left_behind) {
      move(server, HealthEvent::answered_diverged, wall);
    } else if (server.writes && !server.target.is_primary) {
      move(server, HealthEvent::answered_promoted, wall);
    } else {
      move(server, server.target.drained ? HealthEvent::answered_drained : HealthEvent::answered, wall);
    }
  }
  // Lags only now, when it is known who writes and whether that one is well.
  for (const auto& each : servers_) {
    each->late.update(now, lag(*each, now, limits), limits.time);
    each->large.update(now, lag_bytes(*each, now, limits), limits.bytes);
  }
}

bool Watch::is_heard(const WatchedServer& server, std::int64_t now, const WatchLimits& limits) const {
  const bool well =
      server.health == Health::up || server.health == Health::promoted || server.health == Health::drained;
  return well && now - server.sampled_at <= limits.stale;
}

bool Watch::follows(const WatchedServer& server) const {
  const Member* const member = find(server.target.member);
  if (member == nullptr || !server.answer || !server.answer->in_recovery) return false;
  const Reign& reign = server.answer->reign;
  return reign.system_id == member->seen.system_id &&
         (member->seen.timeline == 0 || reign.timeline == member->seen.timeline);
}

std::optional<std::int64_t> Watch::lag(const WatchedServer& server, std::int64_t now, const WatchLimits& limits) const {
  const WatchedServer* const writer = writer_of(server.target.member);
  if (writer == nullptr || !follows(server) || !is_heard(*writer, now, limits)) return std::nullopt;
  return find(server.target.member)->clock.lag(server.answer->replayed, server.sampled_at);
}

std::optional<std::int64_t> Watch::lag_bytes(const WatchedServer& server, std::int64_t now,
                                             const WatchLimits& limits) const {
  if (!lag(server, now, limits)) return std::nullopt;
  const std::uint64_t written = writer_of(server.target.member)->answer->written;
  const std::uint64_t replayed = server.answer->replayed;
  return written > replayed ? static_cast<std::int64_t>(written - replayed) : 0;
}

std::string Watch::upstream_of(const WatchedServer& server) const {
  if (server.answer && !server.answer->in_recovery) return {};
  if (server.answer && !server.answer->sender_host.empty()) {
    for (const auto& other : servers_) {
      if (other.get() == &server || other->target.member != server.target.member) continue;
      for (const ServerAddress::Endpoint& at : other->address.endpoints) {
        const bool same_host = at.host == server.answer->sender_host || at.hostaddr == server.answer->sender_host;
        if (same_host && at.port == server.answer->sender_port) return other->target.name;
      }
    }
  }
  return server.target.upstream;
}

void Watch::fill_route(const WatchedServer& server, RouteServer* to, std::int64_t now,
                       const WatchLimits& limits) const {
  const WatchedServer* const writer = writer_of(server.target.member);
  const auto late = lag(server, now, limits);
  *to = {};
  to->region = region_key(server.target.region);
  to->sampled_at = server.sampled_at;
  to->member = static_cast<std::uint16_t>(server.target.member);
  to->weight = static_cast<std::uint16_t>(server.target.weight);
  to->health = server.health;
  to->writes = server.writes;
  to->expected_primary = server.target.is_primary;
  to->primary_answers = writer != nullptr && is_heard(*writer, now, limits);
  to->drained = server.target.drained;
  to->lag_known = late.has_value();
  to->lag_us = late.value_or(0);
  to->over_time = server.late.beyond();
  to->over_bytes = server.large.beyond();
  to->has_address = !server.address_text.empty();
  to->is_self = server.is_self;
  if (!server.answer) return;
  to->system_id = server.answer->reign.system_id;
  to->timeline = server.answer->reign.timeline;
  to->lsn = server.answer->in_recovery ? server.answer->replayed : server.answer->written;
  to->in_recovery = server.answer->in_recovery;
  to->paused = server.answer->paused;
  to->follows = follows(server);
}

void Watch::fill_detail(const WatchedServer& server, ServerDetail* to, std::int64_t now,
                        const WatchLimits& limits) const {
  const auto bytes = lag_bytes(server, now, limits);
  *to = {};
  put_text(to->name, server.target.name);
  put_text(to->region, server.target.region);
  put_text(to->upstream, upstream_of(server));
  put_text(to->address, server.address_text);
  put_text(to->redacted, server.redacted);
  put_text(to->error, server.error);
  to->answered = server.answer.has_value();
  to->since = server.since;
  to->last_seen = server.last_seen;
  to->lag_bytes_known = bytes.has_value();
  to->lag_bytes = bytes.value_or(0);
  if (!server.answer) return;
  to->receiving = server.answer->receiving;
  to->written = server.answer->written;
  to->received = server.answer->received;
  to->replayed = server.answer->replayed;
}

int Watch::fill(const Topology& topology, std::int64_t now, const WatchLimits& limits) const {
  int count = 0;
  for (const auto& server : servers_) {
    fill_route(*server, &topology.routes[count], now, limits);
    fill_detail(*server, &topology.details[count], now, limits);
    topology.applied[count] = server->answer ? server->answer->applied : AppliedPositions{};
    ++count;
  }
  return count;
}

}  // namespace meridian::pg
