// Runs many histories, or one again.
//
//   meridian_sim --histories 100000 [--seed FIRST] [--threads N]   all must converge
//   meridian_sim --variant NAME --histories N [--seed FIRST]       a wrong variant: at least one must fail
//   meridian_sim --seed N [--variant NAME] [--skip 3,7] --trace    one history, step by step
//
// Exit status 0 if the outcome is the one wanted, 1 if not, 2 for a wrong command line.
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sim/history.hpp"

namespace {

using namespace meridian::sim;

struct Arguments {
  std::uint64_t seed = 1;
  std::uint64_t histories = 1;
  unsigned threads = 0;
  bool trace = false;
  Variant variant = Variant::none;
  std::string variant_name = "none";
  std::vector<int> skipped;
};

struct Totals {
  std::uint64_t histories = 0;
  std::uint64_t steps = 0;
  std::uint64_t operations = 0;
  std::uint64_t nodes = 0;
  std::uint64_t restores = 0;
  std::uint64_t drops = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t early = 0;  ///< of these, dropped while the history was still running

  void add(const HistoryResult& result) noexcept {
    ++histories;
    steps += static_cast<std::uint64_t>(result.steps);
    operations += static_cast<std::uint64_t>(result.operations);
    nodes += static_cast<std::uint64_t>(result.nodes);
    restores += static_cast<std::uint64_t>(result.restores);
    drops += static_cast<std::uint64_t>(result.drops);
    tombstones += static_cast<std::uint64_t>(result.tombstones_dropped);
    early += static_cast<std::uint64_t>(result.early_drops);
  }
  void add(const Totals& other) noexcept {
    histories += other.histories;
    steps += other.steps;
    operations += other.operations;
    nodes += other.nodes;
    restores += other.restores;
    drops += other.drops;
    tombstones += other.tombstones;
    early += other.early;
  }
};

struct Failure {
  std::uint64_t seed = 0;
  std::string violation;
};

template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

bool read_list(std::string_view text, std::vector<int>& numbers) {
  while (!text.empty()) {
    const auto comma = text.find(',');
    int number = 0;
    if (!read_number(text.substr(0, comma), number)) return false;
    numbers.push_back(number);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
  }
  return true;
}

std::optional<Arguments> read_arguments(int count, char** values) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = values[i];
    if (name == "--trace") {
      arguments.trace = true;
      continue;
    }
    if (i + 1 == count) return std::nullopt;
    const std::string_view value = values[++i];
    bool good = false;
    if (name == "--seed") good = read_number(value, arguments.seed);
    if (name == "--histories") good = read_number(value, arguments.histories);
    if (name == "--threads") good = read_number(value, arguments.threads);
    if (name == "--skip") good = read_list(value, arguments.skipped);
    if (name == "--variant") {
      const auto variant = variant_by_name(value);
      good = variant.has_value();
      arguments.variant = variant.value_or(Variant::none);
      arguments.variant_name = value;
    }
    if (!good) return std::nullopt;
  }
  return arguments;
}

bool fails(const Arguments& arguments, std::uint64_t seed, const std::vector<int>& skipped) {
  return run_history({seed, arguments.variant, skipped, nullptr}).violation.has_value();
}

/// Leaves out steps, in ever smaller runs, as long as the history still fails.
std::vector<int> shrink(const Arguments& arguments, std::uint64_t seed) {
  std::vector<int> skipped;
  const int steps = run_history({seed, arguments.variant, {}, nullptr}).steps + 16;
  for (int run = 64; run > 0; run /= 2) {
    for (int first = 0; first < steps; first += run) {
      std::vector<int> more = skipped;
      for (int step = first; step < first + run; ++step) more.push_back(step);
      std::ranges::sort(more);
      more.erase(std::unique(more.begin(), more.end()), more.end());
      if (more.size() > skipped.size() && fails(arguments, seed, more)) skipped = std::move(more);
    }
  }
  return skipped;
}

/// Runs all histories; stops at the first failure and returns it.
std::optional<Failure> run_all(const Arguments& arguments, Totals& totals) {
  std::atomic<std::uint64_t> next = 0;
  std::atomic<bool> stop = false;
  std::mutex mutex;
  std::optional<Failure> failure;
  const auto work = [&] {
    Totals mine;
    for (auto i = next++; i < arguments.histories && !stop; i = next++) {
      const std::uint64_t seed = arguments.seed + i;
      const HistoryResult result = run_history({seed, arguments.variant, arguments.skipped, nullptr});
      mine.add(result);
      if (!result.violation) continue;
      stop = true;
      const std::scoped_lock lock(mutex);
      if (!failure || seed < failure->seed) failure = Failure{seed, *result.violation};
    }
    const std::scoped_lock lock(mutex);
    totals.add(mine);
  };
  const unsigned count = arguments.threads != 0 ? arguments.threads : std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  return failure;
}

void report(const Arguments& arguments, const Failure& failure) {
  const std::vector<int> skipped = shrink(arguments, failure.seed);
  std::string list;
  for (const int step : skipped) list += (list.empty() ? "" : ",") + std::to_string(step);
  std::printf("seed %llu fails: %s\nIts shortest form:\n", static_cast<unsigned long long>(failure.seed),
              failure.violation.c_str());
  static_cast<void>(run_history({failure.seed, arguments.variant, skipped, stdout}));
  std::printf("Run again: meridian_sim --seed %llu --variant %s%s%s --trace\n",
              static_cast<unsigned long long>(failure.seed), arguments.variant_name.c_str(),
              list.empty() ? "" : " --skip ", list.c_str());
}

int run(const Arguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  Totals totals;
  const std::optional<Failure> failure = run_all(arguments, totals);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf(
      "%s: %llu histories, %llu operations, %llu steps, %.1f nodes on average, %llu restores, %llu lost nodes, "
      "%llu tombstones removed (%llu while busy), %.1f s\n",
      arguments.variant_name.c_str(), static_cast<unsigned long long>(totals.histories),
      static_cast<unsigned long long>(totals.operations), static_cast<unsigned long long>(totals.steps),
      static_cast<double>(totals.nodes) / static_cast<double>(std::max<std::uint64_t>(totals.histories, 1)),
      static_cast<unsigned long long>(totals.restores), static_cast<unsigned long long>(totals.drops),
      static_cast<unsigned long long>(totals.tombstones), static_cast<unsigned long long>(totals.early), took.count());
  if (failure) report(arguments, *failure);
  const bool wanted = arguments.variant != Variant::none;
  if (failure.has_value() == wanted) return 0;
  std::printf(wanted ? "The wrong variant was not caught.\n" : "The model does not hold.\n");
  return 1;
}

}  // namespace

int main(int count, char** values) {
  const std::optional<Arguments> arguments = read_arguments(count, values);
  if (!arguments) {
    std::fputs(
        "usage: meridian_sim [--histories N] [--seed N] [--threads N] [--variant NAME] [--skip N,N] [--trace]\n"
        "variants:",
        stderr);
    for (const VariantName& name : variant_names()) std::fprintf(stderr, " %s", std::string(name.name).c_str());
    std::fputc('\n', stderr);
    return 2;
  }
  if (!arguments->trace) return run(*arguments);
  const HistoryResult result = run_history({arguments->seed, arguments->variant, arguments->skipped, stdout});
  return result.violation.has_value() == (arguments->variant != Variant::none) ? 0 : 1;
}
