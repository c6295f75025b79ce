#include "core/conflict_text.hpp"

#include <array>

namespace meridian {

namespace {

/// What each side did, by kind of conflict.
struct Deeds {
  std::string_view kind;
  std::string_view local;
  std::string_view incoming;
};

constexpr std::array<Deeds, 4> known_kinds = {{
    {"insert_insert", "inserted", "inserted"},
    {"update_update", "updated", "updated"},
    {"update_delete", "wrote", "deleted"},
    {"delete_update", "deleted", "wrote"},
}};

constexpr Deeds unknown_kind = {"", "wrote", "wrote"};

const Deeds& deeds_of(std::string_view kind) {
  for (const Deeds& deeds : known_kinds) {
    if (deeds.kind == kind) return deeds;
  }
  return unknown_kind;
}

/// Without column rules a row is one group, and a delete is ordered by time like any other write.
bool is_whole_row(const ConflictFacts& facts) { return facts.rule.starts_with("row=lww"); }

std::string act(const ConflictAuthor& author, std::string_view deed) {
  if (author.time.empty()) return "it was there before replication";
  return std::string(author.node) + ' ' + std::string(deed) + " it at " + std::string(author.time);
}

std::string what_happened(const ConflictFacts& facts, const Deeds& deeds) {
  std::string text = "Row " + std::string(facts.key) + " of " + std::string(facts.table) + ": ";
  text += act(facts.local, deeds.local) + " and " + act(facts.incoming, deeds.incoming);
  text += ", neither having seen the other's write";
  if (deeds.kind.empty()) text += " (" + std::string(facts.kind) + ')';
  return text + ". ";
}

std::string rule_name(const ConflictFacts& facts) { return " (" + std::string(facts.rule) + ')'; }

/// What a side brought that gave way.
std::string contribution(const ConflictAuthor& author) {
  if (author.time.empty()) return "the older row held";
  return std::string(author.node) + " wrote";
}

/// Of two rows, one won.
std::string row_won(const ConflictFacts& facts, bool local_won) {
  const ConflictAuthor& winner = local_won ? facts.local : facts.incoming;
  const ConflictAuthor& loser = local_won ? facts.incoming : facts.local;
  const std::string place = local_won ? "remote_row" : "local_row";
  const std::string write = facts.kind == "insert_insert" ? "insert" : "write";
  const bool by_time = !deeds_of(facts.kind).kind.empty();
  const std::string reason =
      " won" + (by_time ? ", because its " + write + " is the later one" : "") + rule_name(facts);
  if (is_whole_row(facts)) {
    return "The row of " + std::string(winner.node) + reason + "; what " + contribution(loser) +
           " is kept only here, in " + place + '.';
  }
  return "Of the last-writer-wins columns that both wrote, those of " + std::string(winner.node) + reason +
         "; columns whose rule merges hold both sides, and the rest of what " + contribution(loser) +
         " is kept only here, in " + place + '.';
}

std::string rows_merged(const ConflictFacts& facts) {
  if (is_whole_row(facts)) {
    return "The row with the later write was taken as a whole" + rule_name(facts) +
           "; the other side had no write of its own that could be lost.";
  }
  return "Neither row won as a whole: every group of columns holds its later write, and columns whose rule merges hold "
         "both sides" +
         rule_name(facts) + "; both rows as they met are kept here, in local_row and remote_row.";
}

std::string delete_won(const ConflictFacts& facts, const ConflictAuthor& deleter, const ConflictAuthor& writer,
                       std::string_view place) {
  const std::string reason = is_whole_row(facts)
                                 ? "because it is the later of the two"
                                 : "because a delete ends the life of the row that it knew, whatever is written to it "
                                   "at the same time";
  return "The delete of " + std::string(deleter.node) + " won, " + reason + rule_name(facts) + "; the row that " +
         std::string(writer.node) + " wrote is kept only here, in " + std::string(place) + '.';
}

std::string row_survived(const ConflictFacts& facts, const ConflictAuthor& deleter, const ConflictAuthor& writer) {
  if (is_whole_row(facts)) {
    return "The row of " + std::string(writer.node) + " lives, because its write is later than the delete" +
           rule_name(facts) + "; of the delete of " + std::string(deleter.node) + " nothing is left.";
  }
  return "The delete of " + std::string(deleter.node) +
         " ended the lives of the row that it knew; an insert that it did not know lives on" + rule_name(facts) +
         ", without what had been added to the deleted life.";
}

/// Two rows, not two versions of one.
std::string explain_clash(const ConflictFacts& facts) {
  const bool local_won = facts.winner == "local";
  const ConflictAuthor& winner = local_won ? facts.local : facts.incoming;
  const ConflictAuthor& loser = local_won ? facts.incoming : facts.local;
  const auto wrote = [](const ConflictAuthor& author) {
    return author.time.empty() ? std::string("one was there before replication")
                               : std::string(author.node) + " wrote one at " + std::string(author.time);
  };
  const auto owner = [](const ConflictAuthor& author) {
    return author.time.empty() ? std::string("the older row") : "the row of " + std::string(author.node);
  };
  return "Two rows of " + std::string(facts.table) + " ask for one unique key, " + std::string(facts.key) +
         " among them: " + wrote(facts.local) + " and " + wrote(facts.incoming) +
         ", neither having seen the other's. On every node " + owner(winner) + " keeps the key" + rule_name(facts) +
         "; " + owner(loser) + " is not lost: it waits in meridian.parked until the key is free.";
}

std::string outcome(const ConflictFacts& facts) {
  const bool local_won = facts.winner == "local";
  if (facts.kind == "update_delete") {
    if (facts.winner == "incoming") return delete_won(facts, facts.incoming, facts.local, "local_row");
    return row_survived(facts, facts.incoming, facts.local);
  }
  if (facts.kind == "delete_update") {
    if (local_won) return delete_won(facts, facts.local, facts.incoming, "remote_row");
    return row_survived(facts, facts.local, facts.incoming);
  }
  if (!local_won && facts.winner != "incoming") return rows_merged(facts);
  return row_won(facts, local_won);
}

}  // namespace

std::string explain_conflict(const ConflictFacts& facts) {
  if (facts.kind == "unique") return explain_clash(facts);
  return what_happened(facts, deeds_of(facts.kind)) + outcome(facts);
}

}  // namespace meridian
