#include "core/type_ops.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "core/counter.hpp"
#include "core/error.hpp"
#include "core/flag.hpp"
#include "core/gset.hpp"
#include "core/mvreg.hpp"
#include "core/orset.hpp"

namespace meridian {

namespace {

/// `visit(Type{})` with the type of the kind.
template <typename Visit>
void with_type(TypeKind kind, Visit visit) {
  switch (kind) {
    case TypeKind::counter:
      return visit(Counter{});
    case TypeKind::gset:
      return visit(GrowSet{});
    case TypeKind::orset:
      return visit(ObservedRemoveSet{});
    case TypeKind::flag:
      return visit(Flag{});
    case TypeKind::mvreg:
      return visit(MultiValueRegister{});
    case TypeKind::none:
      break;
  }
  throw std::invalid_argument("not an explicit type");
}

}  // namespace

TypeKind type_kind(std::string_view name) noexcept {
  constexpr std::array kinds = {TypeKind::counter, TypeKind::gset, TypeKind::orset, TypeKind::flag, TypeKind::mvreg};
  constexpr std::array<std::string_view, 5> names = {Counter::name, GrowSet::name, ObservedRemoveSet::name, Flag::name,
                                                     MultiValueRegister::name};
  const auto* const position = std::ranges::find(names, name);
  return position == names.end() ? TypeKind::none : kinds[static_cast<std::size_t>(position - names.begin())];
}

void merge_values(TypeKind kind, std::span<const std::byte> left, std::span<const std::byte> right, Bytes& out) {
  with_type(kind, [&]<typename Type>(Type) {
    Type merged = Type::decode(left);
    merged.merge(Type::decode(right));
    merged.encode(out);
  });
}

void absorb_value(TypeKind kind, std::span<const std::byte> before, std::span<const std::byte> after, Actor actor,
                  Bytes& out) {
  with_type(kind, [&]<typename Type>(Type) {
    const Type old = before.empty() ? Type{} : Type::decode(before);
    const std::size_t start = out.size();
    Type::absorb(old, Type::decode(after), actor).encode(out);
    check_local_size(before.size(), out.size() - start);
  });
}

void check_local_size(std::size_t before, std::size_t after) {
  if (after <= max_local_type_size || after <= before) return;
  throw Error(ErrorKind::limit_exceeded,
              "the value would take more than " + std::to_string(max_local_type_size) + " bytes",
              "Keep one row for each element in a table of their own.");
}

}  // namespace meridian
