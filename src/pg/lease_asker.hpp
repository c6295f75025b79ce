// Asking the other members for this region's lease, with the probes of their servers (core/home_lease.hpp). Core lane.
#pragma once

#include "pg/home_lease.hpp"
#include "pg/watch.hpp"

namespace meridian::pg {

class LeaseAsker {
 public:
  /// What is asked for from now on.
  void set_terms(const LeaseTerms& terms);

  /// The parameters of a question to this server, which is about to be sent.
  std::vector<Probe::Parameter> ask(WatchedServer& server, bool with_report) const;

  /// Its answer.
  void take(const WatchedServer& server, const char* text);

  /// The longest time between two attempts to reach a server: a lease that has ended comes back soon after the network.
  static ProbeClock::duration longest_pause(ProbeClock::duration usual);

 private:
  void renew() const;

  LeaseTerms terms_{};
  Acknowledgements acknowledgements_;
};

}  // namespace meridian::pg
