#include "pg/setup/compare.hpp"

#include <algorithm>
#include <set>

#include "core/digest.hpp"
#include "pg/setup/tasks.hpp"

namespace meridian::pg::setup {
namespace {

constexpr std::size_t batch = 1000;
constexpr int most_looks = 5;
constexpr const char* fetch = "FETCH FORWARD 2000 FROM differing";

struct DigestedRow {
  std::int64_t hash = 0;
  std::string key;
  std::string digest;
};

/// Rows of one node in the order of their hashes, through a cursor.
class RowStream {
 public:
  RowStream(Connection& db, const std::string& table, int bits, const std::string& buckets) : db_(db) {
    db.query(
        "DECLARE differing NO SCROLL CURSOR FOR SELECT hash, key, digest FROM meridian.row_digests($1, $2, $3) ORDER "
        "BY hash",
        {table, std::to_string(bits), buckets});
  }
  /// Asks for the first rows; then receive(). Both nodes work at the same time.
  void request() { db_.start(fetch); }
  void receive() { load(db_.finish()); }

  [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }
  [[nodiscard]] std::int64_t hash() const { return rows_.back().hash; }
  /// The rows with this hash, nearly always one.
  std::vector<DigestedRow> take(std::int64_t hash) {
    std::vector<DigestedRow> taken;
    while (!rows_.empty() && rows_.back().hash == hash) {
      taken.push_back(std::move(rows_.back()));
      rows_.pop_back();
      if (rows_.empty()) load(db_.query(fetch));
    }
    return taken;
  }

 private:
  void load(const Rows& rows) {
    for (int i = rows.count() - 1; i >= 0; --i)
      rows_.push_back({std::stoll(rows.text(i, 0)), rows.text(i, 1), rows.text(i, 2)});
  }

  Connection& db_;
  std::vector<DigestedRow> rows_;  ///< the next one last
};

template <typename Items, typename Text>
std::string braced(const Items& items, Text text) {
  std::string list = "{";
  for (const auto& item : items) {
    if (list.size() > 1) list += ',';
    list += text(item);
  }
  return list + "}";
}

}  // namespace

Comparison::Side::Side(Session& session, Node& node)
    : scan(session, node.db.label(), node.dsn), look(session, node.db.label(), node.dsn) {
  for (Connection* db : {&scan, &look}) db->query("SET client_encoding = 'UTF8'");
  scan.query("SET statement_timeout = 0");
  scan.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

Comparison::Comparison(Session& session, Pair& pair, const Table& table, Report report)
    : session_(session),
      pair_(pair),
      table_(table),
      report_(std::move(report)),
      here_(session, pair.here()),
      there_(session, pair.there()) {}

void Comparison::run() {
  const int bits = choose_bits();
  const std::vector<std::size_t> buckets = differing_buckets(bits);
  if (!buckets.empty()) compare_rows(bits, buckets);
  check_suspects();
  if (restless_ == 0) return;
  session_.warn(std::to_string(restless_) + " rows of " + table_.name + " kept changing and were left out", {},
                "Compare again when they are quiet. A row that changes reaches the other nodes as a whole.");
}

/// The same on both nodes, for the larger of the two.
int Comparison::choose_bits() {
  std::uint64_t rows = 0;
  for (Side* side : {&here_, &there_}) {
    // A table that was never analyzed does not know how many rows it has.
    const Rows size = side->scan.query(
        "SELECT greatest(reltuples::bigint, pg_relation_size(oid) / 256) FROM pg_class WHERE oid = $1::regclass",
        {table_.name});
    rows = std::max<std::uint64_t>(rows, std::stoull(size.text(0, 0)));
  }
  return bucket_bits_for(rows);
}

std::vector<std::size_t> Comparison::differing_buckets(int bits) {
  constexpr std::size_t prefix = 2;   // \x
  constexpr std::size_t digits = 32;  // 16 bytes
  for (Side* side : {&here_, &there_}) {
    side->scan.start("SELECT meridian.bucket_digests($1, $2)", {table_.name, std::to_string(bits)});
  }
  const std::string mine = here_.scan.finish().text(0, 0);
  const std::string theirs = there_.scan.finish().text(0, 0);
  std::vector<std::size_t> differing;
  for (std::size_t bucket = 0; bucket < std::size_t{1} << bits; ++bucket) {
    const std::size_t at = prefix + bucket * digits;
    if (mine.compare(at, digits, theirs, at, digits) != 0) differing.push_back(bucket);
  }
  return differing;
}

void Comparison::compare_rows(int bits, const std::vector<std::size_t>& buckets) {
  const std::string chosen = braced(buckets, [](std::size_t bucket) { return std::to_string(bucket); });
  RowStream mine(here_.scan, table_.name, bits, chosen);
  RowStream theirs(there_.scan, table_.name, bits, chosen);
  mine.request();
  theirs.request();
  mine.receive();
  theirs.receive();
  while (!mine.empty() || !theirs.empty()) {
    const std::int64_t hash = mine.empty()     ? theirs.hash()
                              : theirs.empty() ? mine.hash()
                                               : std::min(mine.hash(), theirs.hash());
    std::vector<DigestedRow> others = theirs.take(hash);
    for (DigestedRow& row : mine.take(hash)) {
      const auto other = std::ranges::find(others, row.key, &DigestedRow::key);
      std::string digest;
      if (other != others.end()) {
        digest = std::move(other->digest);
        others.erase(other);
      }
      if (digest != row.digest) suspect({std::move(row.key), std::move(row.digest), std::move(digest)});
    }
    for (DigestedRow& row : others) suspect({std::move(row.key), {}, std::move(row.digest)});
  }
}

void Comparison::suspect(Candidate candidate) {
  suspects_.push_back(std::move(candidate));
  if (suspects_.size() >= batch) check_suspects();
}

/// Keys that are equal by their operator but look different (1.0 and 1.00) come as two suspects and become one here.
void Comparison::check_suspects() {
  std::vector<Difference> found;
  std::set<std::string> reported;
  for (int look = 0; look < most_looks && !suspects_.empty(); ++look) {
    // The scans' snapshots are the first look at every suspect; one wait since then serves all.
    if (look > 0 || !settled_) pair_.settle();
    settled_ = true;
    const std::vector<Candidate> before = suspects_;
    look_again(suspects_);
    std::vector<Candidate> changed;
    for (std::size_t i = 0; i < suspects_.size(); ++i) {
      Candidate& now = suspects_[i];
      if (now.here == now.there) continue;
      if (now.here != before[i].here || now.there != before[i].there) {
        changed.push_back(std::move(now));
        continue;
      }
      if (!reported.insert(now.key).second) continue;
      found.push_back({now.key, !now.here.empty(), !now.there.empty(), now.deleted_here, now.deleted_there});
    }
    suspects_ = std::move(changed);
  }
  restless_ += suspects_.size();
  suspects_.clear();
  if (!found.empty()) report_(found);
}

void Comparison::look_again(std::vector<Candidate>& candidates) {
  const std::string keys = braced(candidates, [](const Candidate& candidate) { return candidate.key; });
  for (Side* side : {&here_, &there_}) {
    side->look.start("SELECT n, key, digest, deleted FROM meridian.key_digests($1, $2)", {table_.name, keys});
  }
  for (Candidate& candidate : candidates) candidate.here = candidate.there = {};
  const Rows theirs = there_.look.finish();
  const Rows mine = here_.look.finish();
  for (const Rows* rows : {&theirs, &mine}) {
    for (int i = 0; i < rows->count(); ++i) {
      Candidate& candidate = candidates.at(static_cast<std::size_t>(rows->integer(i, 0)));
      (rows == &mine ? candidate.here : candidate.there) = rows->text(i, 2);
      (rows == &mine ? candidate.deleted_here : candidate.deleted_there) = rows->boolean(i, 3);
      // As the key is written here, if the row is here.
      if (!rows->null(i, 1)) candidate.key = rows->text(i, 1);
    }
  }
}

std::string keys_literal(const std::vector<Difference>& differences) {
  return braced(differences, [](const Difference& difference) { return difference.key; });
}

std::string compare(Session& session) {
  Pair pair(session);
  const Table table = paired_table(session, pair);
  Comparison comparison(session, pair, table, [&session](const std::vector<Difference>& differences) {
    for (const Difference& d : differences) {
      const char* kind = !d.there ? "only here" : !d.here ? "only there" : "different";
      const char* tombstone = d.deleted_here && d.deleted_there ? "both"
                              : d.deleted_here                  ? "here"
                              : d.deleted_there                 ? "there"
                                                                : "";
      session.put_row({d.key, kind, tombstone});
    }
  });
  comparison.run();
  return {};
}

}  // namespace meridian::pg::setup
