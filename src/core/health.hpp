// What a prober makes of a server, as a table: state and event in, state out, with a sentence for each row.
//
// An event is what came of one probe. `lost` is a failed probe of a server that has failed for long; who probes counts.
// One lost packet must not send readers away, and one answer after an outage must not call them back: up goes down over
// suspect, and down comes up over suspect. A role, in contrast, is believed at once: a promotion must be followed.
//
// The state does not say whether a server may be written to. That is decided by core/succession.hpp alone.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace meridian {

enum class Health : std::uint8_t {
  unknown,   ///< it has not answered yet
  up,        ///< it answers, in the role that is expected
  suspect,   ///< it did not answer the last probe, or has answered one after an outage
  down,      ///< it has not answered for long
  drained,   ///< it answers, and an administrator has taken it out
  promoted,  ///< expected as a standby, it writes for its member
  diverged,  ///< it takes writes, and another server writes for its member
};

enum class HealthEvent : std::uint8_t {
  answered,           ///< in the expected role, or as a standby
  answered_drained,   ///< the same, and it is drained
  answered_promoted,  ///< as the primary, though expected as a standby
  answered_diverged,  ///< as a primary that its member does not follow
  missed,             ///< no answer, or an error
  lost,               ///< the same, of a server that has failed for long
};

inline constexpr std::size_t health_states = 7;
inline constexpr std::size_t health_events = 6;

struct HealthEdge {
  Health from;
  HealthEvent event;
  Health to;
  std::string_view why;
};

namespace health_detail {

using enum Health;
using enum HealthEvent;

inline constexpr std::array<HealthEdge, health_states* health_events> edges = {{
    {unknown, answered, up, "its first answer"},
    {up, answered, up, "it goes on answering"},
    {suspect, answered, up, "it answers again"},
    {down, answered, suspect, "back from an outage: the next answer makes it well"},
    {drained, answered, up, "it was undrained"},
    {promoted, answered, up, "it follows another primary now"},
    {diverged, answered, up, "it follows the primary now"},

    {unknown, answered_drained, drained, "its first answer, while it is drained"},
    {up, answered_drained, drained, "it was drained"},
    {suspect, answered_drained, drained, "it answers again, while it is drained"},
    {down, answered_drained, suspect, "back from an outage: the next answer counts"},
    {drained, answered_drained, drained, "it stays drained"},
    {promoted, answered_drained, drained, "it follows another primary now, and is drained"},
    {diverged, answered_drained, drained, "it follows the primary now, and is drained"},

    {unknown, answered_promoted, promoted, "it was promoted before it was first probed"},
    {up, answered_promoted, promoted, "it was promoted"},
    {suspect, answered_promoted, promoted, "it was promoted while it did not answer"},
    {down, answered_promoted, promoted, "it was promoted during an outage: writers must not wait for a second answer"},
    {drained, answered_promoted, promoted, "it was promoted: that it was drained concerns reads"},
    {promoted, answered_promoted, promoted, "it goes on writing for its member"},
    {diverged, answered_promoted, promoted, "its member follows it now"},

    {unknown, answered_diverged, diverged, "its first answer is that of a primary that was left behind"},
    {up, answered_diverged, diverged, "another server was promoted in its place"},
    {suspect, answered_diverged, diverged, "it comes back as the primary that it was, after another was promoted"},
    {down, answered_diverged, diverged, "it comes back as the primary that it was, after another was promoted"},
    {drained, answered_diverged, diverged, "drained, it takes writes that nobody follows"},
    {promoted, answered_diverged, diverged, "another server was promoted after it"},
    {diverged, answered_diverged, diverged, "it still takes writes that nobody follows"},

    {unknown, missed, unknown, "nothing is known of it yet"},
    {up, missed, suspect, "one probe failed"},
    {suspect, missed, suspect, "more probes fail"},
    {down, missed, down, "it does not answer"},
    {drained, missed, suspect, "one probe failed"},
    {promoted, missed, suspect, "one probe failed"},
    {diverged, missed, diverged, "it does not get better by not answering"},

    {unknown, lost, down, "it has never answered"},
    {up, lost, down, "it does not answer"},
    {suspect, lost, down, "it does not answer"},
    {down, lost, down, "it does not answer"},
    {drained, lost, down, "it does not answer"},
    {promoted, lost, down, "it does not answer"},
    {diverged, lost, down, "it does not answer"},
}};

}  // namespace health_detail

/// The edge that leaves `from` on `event`: there is exactly one.
[[nodiscard]] constexpr const HealthEdge& health_edge(Health from, HealthEvent event) noexcept {
  return health_detail::edges[static_cast<std::size_t>(event) * health_states + static_cast<std::size_t>(from)];
}

/// How many probes in a row fail before a server is lost.
inline constexpr int probes_to_lose = 3;

/// As views show it.
[[nodiscard]] constexpr const char* name_of(Health state) noexcept {
  constexpr std::array<const char*, health_states> names = {"unknown", "up",       "suspect", "down",
                                                            "drained", "promoted", "diverged"};
  return names[static_cast<std::size_t>(state)];
}

}  // namespace meridian
