// Draws what a history consists of. Most histories use a few features at once, so that failures stay readable.
#include <algorithm>

#include "sim/world.hpp"

namespace meridian::sim {

namespace {

/// Physical clocks: all alike (which makes equal stamps), a little apart, or one far ahead (which makes parked images).
void draw_clocks(Plan& plan, Prng& random) {
  plan.advance_ms = random.between(0, 3);
  const int regime = random.below(10);
  if (regime < 4) return;
  for (std::int64_t& skew : plan.skew_ms) skew = random.between(-20, 20);
  if (regime < 7) return;
  plan.max_skew_ms = static_cast<std::uint64_t>(random.between(20, 60));
  plan.skew_ms[static_cast<std::size_t>(random.below(plan.nodes))] = random.between(40, 200);
}

/// Few writes on few keys, much traffic: tombstones become stable while writes go on. Often one clock is ahead, so
/// that tombstones are parked.
void favour_tombstone_removal(Plan& plan, Prng& random) {
  plan.nodes = std::min(plan.nodes, random.between(2, 4));
  plan.joins = plan.nodes > 2 && random.chance(50);
  plan.keys = random.between(1, 2);
  plan.steps = random.between(60, 200);
  plan.write_percent = random.between(12, 25);
  plan.deliver_percent = random.between(40, 55);
  plan.upkeep_percent = random.between(60, 95);
  plan.restores = random.chance(40);
  plan.drops = plan.nodes > 2 && random.chance(50);
  if (random.chance(40)) return;
  plan.advance_ms = random.between(1, 4);
  plan.max_skew_ms = 30;
  plan.skew_ms[0] = random.between(40, 150);
}

/// Wrong variants that show in rare circumstances only are given these circumstances.
void focus(Plan& plan, Variant variant, Prng& random) {
  const bool filling = variant == Variant::member_after_copy || variant == Variant::join_with_own_clock;
  const bool healing = variant == Variant::progress_over_heal;
  const bool splitting = variant == Variant::progress_of_one_stream;
  if (!filling && !healing && !splitting) return;
  plan.nodes = random.between(3, 4);
  plan.keys = 1;
  plan.tombstone_removal = true;
  favour_tombstone_removal(plan, random);
  plan.nodes = std::max(plan.nodes, 3);
  plan.joins = filling;
  plan.drops = healing;
  plan.restores = healing;
  if (splitting) plan.streams = most_streams;
}

}  // namespace

Plan Plan::from_seed(std::uint64_t seed, Variant variant) {
  Prng random(seed);
  Plan plan;
  plan.seed = seed;
  constexpr std::array<int, 10> node_counts = {2, 2, 3, 3, 3, 3, 4, 4, 5, 5};
  plan.nodes = node_counts[static_cast<std::size_t>(random.below(static_cast<int>(node_counts.size())))];
  const auto& kinds = table_kinds();
  const int tables = random.chance(75) ? 1 : 2;
  for (int i = 0; i < tables; ++i) {
    plan.tables.push_back(&kinds[static_cast<std::size_t>(random.below(static_cast<int>(kinds.size())))]);
  }
  plan.keys = random.between(1, max_keys);
  plan.steps = random.between(20, 120);
  plan.write_percent = random.between(15, 60);
  plan.deliver_percent = (100 - plan.write_percent) * random.between(35, 75) / 100;
  plan.upkeep_percent = random.between(20, 90);
  draw_clocks(plan, random);
  plan.rows_before = random.chance(35);
  plan.rows_differ = plan.rows_before && random.chance(25);
  plan.missing_values = random.chance(35);
  plan.open_transactions = random.chance(35);
  plan.redelivery = random.chance(30);
  plan.touches = random.chance(25);
  plan.cuts = random.chance(30);
  plan.restores = random.chance(25);
  plan.drops = plan.nodes > 2 && random.chance(15);
  plan.tombstone_removal = random.chance(60);
  plan.joins = plan.nodes > 2 && random.chance(25);
  plan.merged_tombstones = random.chance(50);
  plan.shuffled = random.chance(40);
  if (plan.tombstone_removal && random.chance(50)) favour_tombstone_removal(plan, random);
  plan.streams = random.chance(30) ? random.between(2, most_streams) : 1;
  focus(plan, variant, random);
  return plan;
}

std::string Plan::describe() const {
  std::string text = "seed " + std::to_string(seed) + ": " + std::to_string(nodes) + " nodes, tables";
  for (const TableKind* kind : tables) text += " " + kind->name;
  text += ", " + std::to_string(keys) + " keys, " + std::to_string(steps) + " steps, clocks";
  for (int i = 0; i < nodes; ++i) text += " " + std::to_string(skew_ms[static_cast<std::size_t>(i)]);
  text += " (parks beyond " + std::to_string(max_skew_ms) + " ms)";
  if (streams > 1) text += ", " + std::to_string(streams) + " streams";
  const std::array<std::pair<bool, const char*>, 13> features = {{{rows_before, "rows before"},
                                                                  {rows_differ, "rows differ"},
                                                                  {missing_values, "missing values"},
                                                                  {open_transactions, "open transactions"},
                                                                  {redelivery, "re-delivery"},
                                                                  {touches, "touches"},
                                                                  {cuts, "cuts"},
                                                                  {restores, "restores"},
                                                                  {drops, "drops"},
                                                                  {joins, "a join"},
                                                                  {tombstone_removal, "tombstone removal"},
                                                                  {merged_tombstones, "merged tombstones"},
                                                                  {shuffled, "shuffled"}}};
  for (const auto& [on, name] : features) {
    if (on) text += std::string(", ") + name;
  }
  return text;
}

}  // namespace meridian::sim
