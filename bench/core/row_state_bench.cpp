// How long the core takes for one row. The counter `allocations` is per iteration and belongs to be 0.
#include <benchmark/benchmark.h>

#include "allocations.hpp"
#include "core/row_state_codec.hpp"
#include "samples.hpp"

namespace {

using namespace meridian;

/// Runs `work` once per iteration and reports what it allocated.
template <typename Work>
void measure(benchmark::State& timer, Work work) {
  const auto before = bench::allocations();
  for (auto iteration : timer) {
    (void)iteration;
    work();
  }
  const auto allocated = static_cast<double>(bench::allocations() - before);
  timer.counters["allocations"] = benchmark::Counter(allocated, benchmark::Counter::kAvgIterations);
}

std::span<const std::byte> view(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

void merge_of_three_actors(benchmark::State& timer) {
  const Shape shape = bench::account_shape();
  const RowState local = bench::account(1);
  const RowState incoming = bench::account(2);
  measure(timer, [&] { benchmark::DoNotOptimize(merge(local, incoming, shape, Tombstone{})); });
}
BENCHMARK(merge_of_three_actors);

void merge_of_quiet_rows(benchmark::State& timer) {
  const Shape shape = bench::plain_shape();
  const RowState local = bench::quiet_row();
  RowState incoming = local;
  const std::array groups = {default_group};
  update_row(incoming, shape, bench::actor(1), bench::at(5), {groups, {}, {}});
  measure(timer, [&] { benchmark::DoNotOptimize(merge(local, incoming, shape, Tombstone{})); });
}
BENCHMARK(merge_of_quiet_rows);

void decode_of_three_actors(benchmark::State& timer) {
  Bytes bytes;
  encode(bench::account(1), bytes);
  measure(timer, [&] { benchmark::DoNotOptimize(decode(view(bytes))); });
  timer.counters["bytes"] = static_cast<double>(bytes.size());
}
BENCHMARK(decode_of_three_actors);

void decode_of_a_quiet_row(benchmark::State& timer) {
  Bytes bytes;
  encode(bench::quiet_row(), bytes);
  measure(timer, [&] { benchmark::DoNotOptimize(decode(view(bytes))); });
  timer.counters["bytes"] = static_cast<double>(bytes.size());
}
BENCHMARK(decode_of_a_quiet_row);

void encode_of_three_actors(benchmark::State& timer) {
  const RowState state = bench::account(1);
  measure(timer, [&] {
    Bytes bytes;
    encode(state, bytes);
    benchmark::DoNotOptimize(bytes);
  });
}
BENCHMARK(encode_of_three_actors);

void local_update_from_bytes_to_bytes(benchmark::State& timer) {
  const Shape shape = bench::account_shape();
  Bytes stored;
  encode(bench::account(1), stored);
  measure(timer, [&] {
    RowState state = decode(view(stored));
    bench::purchase(state, shape, bench::actor(1), bench::at(100), default_group);
    Bytes bytes;
    encode(state, bytes);
    benchmark::DoNotOptimize(bytes);
  });
}
BENCHMARK(local_update_from_bytes_to_bytes);

void apply_from_bytes_to_bytes(benchmark::State& timer) {
  const Shape shape = bench::account_shape();
  Bytes local;
  Bytes incoming;
  encode(bench::account(1), local);
  encode(bench::account(2), incoming);
  measure(timer, [&] {
    Bytes bytes;
    encode(merge(decode(view(local)), decode(view(incoming)), shape, Tombstone{}).state, bytes);
    benchmark::DoNotOptimize(bytes);
  });
}
BENCHMARK(apply_from_bytes_to_bytes);

}  // namespace
