// Finding the rows in which two nodes differ, without sending the rows.
//
//   1  Each node adds up the digests of its rows in buckets (core/digest.hpp): one scan, 32 characters per bucket
//      travel.
//   2  Of buckets that differ, keys and digests of rows travel in the order of a hash: one more scan, merged like two
//      sorted lists, so no more than a batch is held in memory.
//   3  What differs may have been changing. When the streams have brought what was under way, those keys are read
//      again: a difference counts if both sides still are what they were before the wait. A row that keeps changing
//      heals by itself, because a change brings the whole row.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pg/setup/pair.hpp"

namespace meridian::pg::setup {

/// A key whose rows differ.
struct Difference {
  std::string key;  ///< text[] literal
  bool here = false;
  bool there = false;
  bool deleted_here = false;  ///< a delete of the key is remembered
  bool deleted_there = false;
};

class Comparison {
 public:
  using Report = std::function<void(const std::vector<Difference>&)>;
  Comparison(Session& session, Pair& pair, const Table& table, Report report);
  /// Calls `report` with what differs, in batches. Warns of rows that did not stand still.
  void run();

 private:
  /// A row that seemed to differ: the digests that were seen last, empty where there is no row.
  struct Candidate {
    std::string key;
    std::string here;
    std::string there;
    bool deleted_here = false;
    bool deleted_there = false;
  };
  struct Side {
    Side(Session& session, Node& node);
    Connection scan;  ///< one snapshot for both scans
    Connection look;  ///< as of now
  };

  int choose_bits();
  std::vector<std::size_t> differing_buckets(int bits);
  void compare_rows(int bits, const std::vector<std::size_t>& buckets);
  void suspect(Candidate candidate);
  void check_suspects();
  void look_again(std::vector<Candidate>& candidates);

  Session& session_;
  Pair& pair_;
  const Table& table_;
  Report report_;
  Side here_;
  Side there_;
  std::vector<Candidate> suspects_;
  std::size_t restless_ = 0;
  bool settled_ = false;
};

/// The keys of differences as a text[] literal of two dimensions.
std::string keys_literal(const std::vector<Difference>& differences);

}  // namespace meridian::pg::setup
