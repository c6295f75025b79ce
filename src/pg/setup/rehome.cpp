// Changes of homes: regions, the rule, the directory. src/core/rehome.hpp has the protocol and why it is safe; here are
// its phases, each on every member before the next on any.
//
// The worker is the coordinator; the lock of the mesh sees to it that there is one. Before a change of its own it
// finishes one that was interrupted. A failure before the first commit aborts the change, one after it is completed by
// the next call. With force, members that cannot be reached take no part; with leases (core/home_lease.hpp) the change
// then waits until theirs must have ended.

#include <algorithm>

#include "core/error.hpp"
#include "core/home_map.hpp"
#include "pg/setup/mesh.hpp"
#include "pg/setup/tasks.hpp"

namespace meridian::pg::setup {
namespace {

using namespace std::chrono_literals;

constexpr auto confirmation_limit = 60s;
constexpr milliseconds confirmation_poll = 100ms;

/// A row of meridian.home_map as the coordinator changes it.
struct Map {
  std::string rule = "hash";
  std::vector<std::string> regions;
  std::vector<std::string> weights;
};

struct Change {
  std::int64_t epoch = 0;
  std::string kind;
  Value key;
  Value region;
  Map map;
  std::vector<std::string> lost;
};

std::vector<std::string> list_of(Connection& db, const std::string& sql) {
  const Rows rows = db.query(sql);
  std::vector<std::string> texts;
  for (int i = 0; i < rows.count(); ++i) texts.push_back(rows.text(i, 0));
  return texts;
}

Map read_map(Connection& db) {
  Map map;
  const Rows rule = db.query("SELECT rule FROM meridian.home_map");
  if (rule.count() == 0) return map;
  map.rule = rule.text(0, 0);
  map.regions = list_of(db, "SELECT unnest(regions) FROM meridian.home_map");
  map.weights = list_of(db, "SELECT unnest(weights) FROM meridian.home_map");
  return map;
}

/// Throws SetupError for what no server could use.
void validate(const Map& map) {
  try {
    HomeMap checked;
    checked.set_rule(parse_home_rule(map.rule));
    for (std::size_t i = 0; i < map.regions.size(); ++i)
      checked.add(map.regions[i], static_cast<std::uint32_t>(std::stoul(map.weights[i])));
  } catch (const Error& error) {
    throw SetupError(error.kind() == ErrorKind::limit_exceeded ? "54000" : "22023", error.what(), {}, error.hint());
  }
}

SetupError unknown_region(const std::string& name) {
  return {"42704", "there is no home region \"" + name + "\"", {}, "See meridian.home_regions."};
}

std::size_t position_of(const Map& map, const std::string& region) {
  const auto found = std::ranges::find(map.regions, region);
  if (found == map.regions.end()) throw unknown_region(region);
  return static_cast<std::size_t>(found - map.regions.begin());
}

class Rehome {
 public:
  explicit Rehome(Session& session) : session_(session) {}

  std::string run() {
    arguments_ = session_.request().arguments;
    forced_ = arguments_.at(1) == "take" && arguments_.at(4) == "t";
    here_ = connect_here(session_, arguments_.at(0), Connection::Origin::mesh);
    mesh_ = std::make_unique<Mesh>(session_, *here_, forced_ ? Mesh::Absent::skip : Mesh::Absent::refuse);
    if (!forced_) mesh_->require_agreement();
    await_confirmed();
    teach_members_given_up();
    require_outwaitable();
    order_members();
    const std::string finished = finish_interrupted();
    if (arguments_.at(1) == "finish") return finished;
    Change change;
    if (!plan(&change)) return std::to_string(last_epoch());
    change.lost = mesh_->absent();
    change.epoch = next_epoch();
    make(change);
    return std::to_string(change.epoch);
  }

 private:
  void order_members();
  std::int64_t last_epoch();
  std::string finish_interrupted();
  std::string finish_change(std::int64_t epoch);
  std::int64_t next_epoch();
  void await_confirmed();
  void teach_members_given_up();
  void require_outwaitable();
  void outwait(const Change& change);
  bool plan(Change* change);
  bool plan_pin(const Value& region, Change* change);
  void plan_map(Map* map);
  void require_unpinned(const std::string& region);
  void require_member(const std::string& region);
  void make(const Change& change);
  void prepare(const Change& change);
  void drain_to_homes(const Change& change);
  void finish(std::int64_t epoch, const char* step);

  Session& session_;
  std::unique_ptr<Node> here_;
  std::unique_ptr<Mesh> mesh_;
  std::vector<Node*> nodes_;
  std::vector<std::string> arguments_;
  bool forced_ = false;
};

/// A member that has just come back may know less than the others; it asks them by itself.
void Rehome::await_confirmed() {
  const auto end = Clock::now() + confirmation_limit;
  for (const auto& node : mesh_->nodes()) {
    while (!node->db.query("SELECT meridian.homes_confirmed()").boolean(0, 0)) {
      if (Clock::now() > end) {
        throw SetupError("55000", node->db.label() + " has not asked the other members about homes since it started",
                         {}, "See its log; if members are gone for good, call meridian.confirm_homes() there.");
      }
      session_.pause(confirmation_poll);
    }
  }
}

/// A member that was given up, and then not restarted but cut off, may not have heard of it yet.
void Rehome::teach_members_given_up() {
  for (const auto& node : mesh_->nodes()) {
    const Rows lost =
        node->db.query("SELECT s.epoch, s.final, l.name FROM meridian.home_standing() s, unnest(s.lost) l(name)");
    for (int i = 0; i < lost.count(); ++i) {
      const auto& all = mesh_->nodes();
      const auto at = std::ranges::find_if(all, [&](const auto& each) { return each->member.name == lost.text(i, 2); });
      if (at == all.end()) continue;
      (*at)->db.query("SELECT meridian.doubt_homes() FROM meridian.home_standing() WHERE (epoch, final) < ($1, $2)",
                      {lost.text(i, 0), lost.text(i, 1)});
    }
  }
  await_confirmed();
}

constexpr char wait_for_leases[] =
    "SELECT meridian.home_lease_wait(ARRAY (SELECT id FROM meridian.member WHERE name = ANY ($1)))";

/// With leases, members that are lost must be unable to go on without those that are left.
void Rehome::require_outwaitable() {
  if (mesh_->absent().empty()) return;
  for (const auto& node : mesh_->nodes()) node->db.query(wait_for_leases, {array_literal(mesh_->absent())});
}

/// Waits until every lease that a member may have got from one that takes part has ended.
void Rehome::outwait(const Change& change) {
  if (change.lost.empty()) return;
  auto end = Clock::now();
  for (Node* node : nodes_) {
    const Rows wait = node->db.query(wait_for_leases, {array_literal(change.lost)});
    if (!wait.null(0, 0)) end = std::max(end, Clock::now() + milliseconds(std::stoll(wait.text(0, 0))));
  }
  if (Clock::now() >= end) return;
  session_.waiting_for("the leases of members that cannot be reached to end");
  while (Clock::now() < end)
    session_.pause(std::min(std::chrono::ceil<milliseconds>(end - Clock::now()), milliseconds(1000)));
  session_.waiting_for({});
}

/// By number; members that the last change gave up come last (core/rehome.hpp says why).
void Rehome::order_members() {
  std::vector<std::string> lost;
  std::int64_t latest = -1;
  for (const auto& node : mesh_->nodes()) {
    const std::int64_t known = std::stoll(node->db.query("SELECT epoch FROM meridian.home_standing()").text(0, 0));
    if (known <= latest) continue;
    latest = known;
    lost = list_of(node->db, "SELECT unnest(lost) FROM meridian.home_standing()");
  }
  for (const auto& node : mesh_->nodes()) nodes_.push_back(node.get());
  std::ranges::stable_partition(
      nodes_, [&](const Node* node) { return std::ranges::find(lost, node->member.name) == lost.end(); });
}

std::int64_t Rehome::last_epoch() {
  std::int64_t last = 0;
  for (Node* node : nodes_) {
    const Rows known = node->db.query("SELECT epoch FROM meridian.home_standing()");
    last = std::max(last, static_cast<std::int64_t>(std::stoll(known.text(0, 0))));
  }
  return last;
}

/// A number that is never given twice. Members that are lost may know of changes that are unknown here, so numbers of
/// changes by force leave room and are drawn.
std::int64_t Rehome::next_epoch() {
  const std::int64_t last = last_epoch();
  if (mesh_->absent().empty()) return last + 1;
  constexpr std::int64_t room = 1'000'000;
  const Rows drawn = here_->db.query("SELECT floor(random() * 1000000)::bigint");
  return (last / room + 1) * room + std::stoll(drawn.text(0, 0));
}

/// All that are in progress, from the oldest on: a member that was away may have missed the end of one. What became of
/// the last one.
std::string Rehome::finish_interrupted() {
  std::vector<std::int64_t> epochs;
  for (Node* node : nodes_) {
    for (const std::string& epoch : list_of(node->db, "SELECT epoch FROM meridian.home_change WHERE state = 'moving'"))
      epochs.push_back(std::stoll(epoch));
  }
  if (last_epoch() != 0) epochs.push_back(last_epoch());
  std::ranges::sort(epochs);
  epochs.erase(std::unique(epochs.begin(), epochs.end()), epochs.end());
  std::string decision = "nothing";
  for (const std::int64_t epoch : epochs) decision = finish_change(epoch);
  return decision;
}

std::string Rehome::finish_change(std::int64_t epoch) {
  std::vector<std::string> states;
  for (Node* node : nodes_) {
    states.push_back(node->db
                         .query("SELECT COALESCE((SELECT state FROM meridian.home_change WHERE epoch = $1), 'unknown')",
                                {std::to_string(epoch)})
                         .text(0, 0));
  }
  // Without leases, members that cannot be reached are down, and hear of the decision when they come back.
  const std::string decision =
      here_->db
          .query("SELECT meridian.decide_home_change($1, cardinality($2::text[]) = 0 OR current_setting($3) = '0')",
                 {array_literal(states), array_literal(mesh_->absent()), "meridian.home_lease"})
          .text(0, 0);
  if (decision == "wait") {
    throw SetupError("55000", "a change of homes was interrupted, and members that cannot be reached may have made it",
                     {}, "If they are down, and stay so, set meridian.home_lease to 0 on the members that are left.");
  }
  if (decision == "commit" || decision == "abort") finish(epoch, decision.c_str());
  return decision;
}

/// Fills the change. False if it is made already.
bool Rehome::plan(Change* change) {
  const std::string& what = arguments_.at(1);
  change->map = read_map(nodes_.front()->db);
  const bool key_taken =
      what == "take" && std::ranges::find(change->map.regions, arguments_.at(2)) == change->map.regions.end();
  if (what == "pin" || key_taken) return plan_pin(arguments_.at(3), change);
  if (what == "unpin") return plan_pin({}, change);
  const Map before = change->map;
  plan_map(&change->map);
  validate(change->map);
  change->kind = "map";
  return before.rule != change->map.rule || before.regions != change->map.regions ||
         before.weights != change->map.weights;
}

bool Rehome::plan_pin(const Value& region, Change* change) {
  change->kind = "pin";
  change->key = arguments_.at(2);
  const Rows pinned = nodes_.front()->db.query("SELECT region FROM meridian.home_pin WHERE key = $1", {change->key});
  const Value before = pinned.count() == 0 ? Value() : pinned.value(0, 0);
  if (region) {
    (void)position_of(change->map, *region);
    require_member(*region);
  }
  change->region = region;
  return before != region;
}

void Rehome::plan_map(Map* map) {
  const std::string& what = arguments_.at(1);
  const std::string& name = arguments_.at(2);
  if (what == "rule") {
    map->rule = name;
  } else if (what == "add") {
    const auto known = std::ranges::find(map->regions, name);
    if (known != map->regions.end() && map->weights[position_of(*map, name)] == arguments_.at(3)) return;
    require_member(name);
    map->regions.push_back(name);
    map->weights.push_back(arguments_.at(3));
  } else {
    const auto at = static_cast<std::ptrdiff_t>(position_of(*map, name));
    if (what == "set") {
      map->weights[static_cast<std::size_t>(at)] = arguments_.at(3);
      return;
    }
    if (!forced_) require_unpinned(name);
    map->regions.erase(map->regions.begin() + at);
    map->weights.erase(map->weights.begin() + at);
  }
}

void Rehome::require_unpinned(const std::string& region) {
  const Rows pinned = nodes_.front()->db.query("SELECT count(*) FROM meridian.home_pin WHERE region = $1", {region});
  if (pinned.text(0, 0) == "0") return;
  throw SetupError("2BP01", pinned.text(0, 0) + " keys are pinned to region \"" + region + "\"", {},
                   "Move them with meridian.rehome(), or let them follow the map with meridian.unpin_home(); see "
                   "meridian.home_pin.");
}

void Rehome::require_member(const std::string& region) {
  const bool served = std::ranges::any_of(nodes_, [&](const Node* node) { return node->member.region == region; });
  if (!served) {
    throw SetupError("42704",
                     "no member of the mesh is in region \"" + region + "\"" + (forced_ ? " and can be reached" : ""),
                     {}, "Join a node in that region first; see meridian.nodes.");
  }
}

void Rehome::make(const Change& change) {
  Undo undo(session_);
  undo.guard([&] {
    undo.add([&] {
      for (Node* node : nodes_) node->db.recover();
      finish(change.epoch, "abort");
    });
    prepare(change);
    for (Node* node : nodes_) node->db.query("SELECT meridian.wait_for_home_writers()");
    drain_to_homes(change);
    outwait(change);
    undo.forget();
  });
  try {
    finish(change.epoch, "commit");
  } catch (SetupError& error) {
    error.add_detail("Some members have made the change, and all others will not write the keys that move.");
    error.suggest("Call meridian.finish_rehoming() when every member can be reached.");
    throw;
  }
}

void Rehome::prepare(const Change& change) {
  const Value lost_after = here_->db
                               .query(
                                   "SELECT jsonb_object_agg(name, lsn) FROM (SELECT m.name, min(h.lsn) AS lsn FROM "
                                   "meridian.member m JOIN meridian.heartbeat h ON h.member = m.id WHERE m.name = ANY "
                                   "($1) GROUP BY m.name) l",
                                   {array_literal(change.lost)})
                               .value(0, 0);
  for (Node* node : nodes_) {
    const bool map = change.kind == "map";
    node->db.query("SELECT meridian.prepare_home($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                   {std::to_string(change.epoch), change.kind, change.key, change.region,
                    map ? Value(change.map.rule) : Value(), map ? Value(array_literal(change.map.regions)) : Value(),
                    map ? Value(array_literal(change.map.weights)) : Value(), array_literal(change.lost), lost_after,
                    session_.request().caller});
  }
}

/// A key that is pinned moves to one region; the homes of a map move to any.
void Rehome::drain_to_homes(const Change& change) {
  for (Node* writer : nodes_) {
    for (Node* reader : nodes_) {
      if (reader == writer || (change.region && reader->member.region != *change.region)) continue;
      drain(session_, *writer, reader->member.id);
    }
  }
}

void Rehome::finish(std::int64_t epoch, const char* step) {
  for (Node* node : nodes_) node->db.query("SELECT meridian.finish_home($1, $2)", {std::to_string(epoch), step});
}

}  // namespace

std::string rehome(Session& session) { return Rehome(session).run(); }

}  // namespace meridian::pg::setup
