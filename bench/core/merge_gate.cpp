// Fails if decoding, merging or encoding ordinary row states allocates. (How long it takes is for row_state_bench.)
#include <cstdio>

#include "allocations.hpp"
#include "core/row_state_codec.hpp"
#include "samples.hpp"

namespace {

using namespace meridian;

/// Runs `work` once; true if it allocated nothing.
template <typename Work>
bool allocates_nothing(const char* name, Work work) {
  const auto before = bench::allocations();
  const bool sane = work();
  const auto allocated = bench::allocations() - before;
  std::printf("%s: %llu allocations\n", name, static_cast<unsigned long long>(allocated));
  if (!sane) std::printf("%s: wrong result\n", name);
  return sane && allocated == 0;
}

bool run() {
  const Shape shape = bench::account_shape();
  const RowState local = bench::account(1);
  const RowState incoming = bench::account(2);
  Bytes local_bytes;
  Bytes incoming_bytes;
  encode(local, local_bytes);
  encode(incoming, incoming_bytes);

  bool passed = allocates_nothing("merge of two states with three actors, one counter, two groups", [&] {
    const Merge merged = merge(local, incoming, shape, Tombstone{});
    return merged.state.entries.size() == 3 && merged.state_changed && merged.knowledge == Knowledge::concurrent;
  });
  passed &= allocates_nothing("decode both, merge, encode", [&] {
    const RowState mine = decode({local_bytes.data(), local_bytes.size()});
    const RowState theirs = decode({incoming_bytes.data(), incoming_bytes.size()});
    Bytes out;
    encode(merge(mine, theirs, shape, Tombstone{}).state, out);
    return !out.empty();
  });
  passed &= allocates_nothing("decode, local update, encode", [&] {
    RowState state = decode({local_bytes.data(), local_bytes.size()});
    bench::purchase(state, shape, bench::actor(2), bench::at(100), default_group);
    Bytes out;
    encode(state, out);
    return !out.empty();
  });
  return passed;
}

}  // namespace

int main() { return run() ? 0 : 1; }
