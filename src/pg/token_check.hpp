// What this server can say of a token: core/token_check.hpp applied to where its WAL and its peers' stand.
#pragma once

#include "core/token_check.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// A token taken apart, in a form that a longjmp may leave behind.
struct Wanted {
  bool valid;  ///< it is a token, and signed if there is a secret
  int count;
  Position positions[Token::max_positions];
};

/// Reads a token's text. Never raises for what is in it.
Wanted read_token(std::string_view text);

/// The ancestors of a timeline of this server, and where each was left. Empty for the first one, and if its history is
/// not there. Valid until the next call.
std::span<const TimelineEnd> ancestors_of(TimeLineID timeline);

/// How far this server's own WAL can be read here now. Its ancestors are not looked up.
Reach own_reach();

struct Judgement {
  Verdict verdict;
  /// If not_yet: replay of this server must have passed this position before the verdict can change. 0: it need not;
  /// UINT64_MAX: only another timeline can change it.
  std::uint64_t target;
  /// If not_yet: peers' changes are missing.
  bool peers;
};

/// Judges now. Takes no lock and holds no snapshot when it returns. Needs a transaction only for positions of other
/// systems.
Judgement judge_here(const Wanted& wanted);

}  // namespace meridian::pg
