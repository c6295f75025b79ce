#include "pg/lease_asker.hpp"

#include "pg/support/guard.hpp"
#include "pg/support/monotonic.hpp"

namespace meridian::pg {

void LeaseAsker::set_terms(const LeaseTerms& terms) {
  terms_ = terms;
  renew();
}

std::vector<Probe::Parameter> LeaseAsker::ask(WatchedServer& server, bool with_report) const {
  // Before it is sent, so the lease begins too early rather than too late.
  server.lease_asked_at = lease_clock_us();
  server.lease_electorate = terms_.voters.electorate.number;
  std::vector<Probe::Parameter> parameters{with_report ? "t" : "f", std::nullopt, std::nullopt};
  if (terms_.self == 0 || server.target.member == terms_.self) return parameters;
  parameters[1] = std::to_string(terms_.self);
  parameters[2] = std::to_string(server.lease_electorate);
  return parameters;
}

void LeaseAsker::take(const WatchedServer& server, const char* text) {
  int granted_ms = 0;
  if (text == nullptr || std::from_chars(text, text + std::strlen(text), granted_ms).ec != std::errc()) return;
  if (granted_ms < 0) {
    call([] { doubt_homes(); });
  } else if (granted_ms > 0 && home_lease_ms > 0) {
    acknowledgements_.note(server.target.member, server.lease_electorate,
                           server.lease_asked_at + std::int64_t{1000} * std::min(granted_ms, home_lease_ms));
    renew();
  }
}

void LeaseAsker::renew() const {
  if (terms_.self == 0 || home_lease_ms == 0) return;
  const Voters::List& voters = terms_.voters.now;
  const std::uint64_t electorate = terms_.voters.electorate.number;
  const std::int64_t until = voters.fits() ? acknowledgements_.lease_end(electorate, voters.span(), terms_.self) : 0;
  const auto answers = static_cast<int>(acknowledgements_.running(electorate, voters.span(), lease_clock_us()));
  const LeaseTerms* const terms = &terms_;
  call([=] { set_home_lease(*terms, until, answers); });
}

ProbeClock::duration LeaseAsker::longest_pause(ProbeClock::duration usual) {
  if (home_lease_ms == 0) return usual;
  return std::min<ProbeClock::duration>(
      usual, std::max(std::chrono::milliseconds(home_lease_ms / 2), std::chrono::milliseconds(1000)));
}

}  // namespace meridian::pg
