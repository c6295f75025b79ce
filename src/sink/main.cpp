// meridian-sink: takes events from a database to Kafka, Redis, Elasticsearch, an HTTP server or a file.
//
//   meridian-sink --sink NAME               a sink that meridian.create_sink() made, in the database that the
//   environment variable
//                                           MERIDIAN_SINK_DSN leads to; a background worker runs it so
//   meridian-sink --config FILE             standalone: lines `name = value`, with name, dsn, slot, kind, position_file
//   and the
//                                           options of the kind
//
// Ends with status 0 when told to (SIGTERM, SIGINT, drop_sink), 2 for options that are wrong, 3 when the policy `stop`
// stopped it, 1 for anything that may pass: a lost connection, a server that is not there. Who runs it starts it again.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/error.hpp"
#include "sink/pipeline.hpp"

namespace {

using namespace meridian::sink;

constexpr int status_passing = 1;
constexpr int status_options = 2;
constexpr int status_stopped = 3;

std::atomic<bool> ending{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler writes it");

void end(int) { ending = true; }

void handle_signals() {
  struct sigaction action {};
  action.sa_handler = end;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

int run(const Options& options, Ledger& ledger) {
  try {
    const auto target = make_target(options);
    Pipeline(options, ledger, *target, ending).run();
    ledger.report("ended", "");
    return 0;
  } catch (const Restart&) {
    ledger.report("starting", "");
    return 0;
  } catch (const Stopped& stopped) {
    ledger.report("stopped", stopped.what());
    return status_stopped;
  } catch (const OptionError& error) {
    ledger.report("stopped", error.what());
    return status_options;
  } catch (const meridian::Error& error) {
    ledger.report("stopped", error.what());
    return status_options;
  } catch (const SourceError& error) {
    // The ledger may be on the server that is gone; then the error is only on standard error.
    std::fprintf(stderr, "meridian-sink: %s\n", error.what());
    ledger.report("failed", error.what());
    return status_passing;
  }
}

int run_created(const char* name, const char* dsn) {
  const Options options = read_options(dsn, name);
  const auto ledger = open_database_ledger(options);
  return run(options, *ledger);
}

int run_standalone(const char* file) {
  auto given = Options::parse_lines(read_whole_file(file, file));
  const auto found = given.find("position_file");
  if (found == given.end()) throw OptionError("option \"position_file\" is missing");
  const auto ledger = open_file_ledger(found->second);
  given.erase(found);
  return run(Options::from_map(std::move(given)), *ledger);
}

}  // namespace

int main(int count, char** words) {
  handle_signals();
  try {
    const char* const dsn = std::getenv("MERIDIAN_SINK_DSN");
    if (count == 3 && std::strcmp(words[1], "--sink") == 0) return run_created(words[2], dsn == nullptr ? "" : dsn);
    if (count == 3 && std::strcmp(words[1], "--config") == 0) return run_standalone(words[2]);
    std::fputs("usage: meridian-sink --sink NAME      (MERIDIAN_SINK_DSN: where)\n       meridian-sink --config FILE\n",
               stderr);
    return status_options;
  } catch (const OptionError& error) {
    std::fprintf(stderr, "meridian-sink: %s\n", error.what());
    return status_options;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "meridian-sink: %s\n", error.what());
    return status_passing;
  }
}
