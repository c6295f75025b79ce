#include "core/gset.hpp"

#include <algorithm>
#include <iterator>

#include "core/error.hpp"
#include "core/json_string.hpp"
#include "core/type_text.hpp"

namespace meridian {

GrowSet GrowSet::literal(std::vector<std::string> elements) {
  GrowSet set;
  set.elements_ = std::move(elements);
  std::ranges::sort(set.elements_);
  set.elements_.erase(std::unique(set.elements_.begin(), set.elements_.end()), set.elements_.end());
  return set;
}

bool GrowSet::contains(std::string_view element) const noexcept {
  return std::ranges::binary_search(elements_, element, std::less<>{});
}

void GrowSet::add(std::string_view element) {
  const auto position = std::ranges::lower_bound(elements_, element, std::less<>{});
  if (position == elements_.end() || *position != element) elements_.emplace(position, element);
}

void GrowSet::merge(const GrowSet& other) {
  std::vector<std::string> both;
  std::ranges::set_union(elements_, other.elements_, std::back_inserter(both));
  elements_ = std::move(both);
}

GrowSet GrowSet::absorb(const GrowSet& before, const GrowSet& after, Actor) {
  if (!std::ranges::includes(after.elements_, before.elements_)) {
    throw Error(ErrorKind::against_rule, "a gset only grows",
                "Keep what is in it, or use the type meridian.orset, from which elements can be removed.");
  }
  return after;
}

void GrowSet::encode(Bytes& bytes) const {
  Writer out(bytes);
  put_head(out, kind);
  out.room_for(1);
  out.varint(elements_.size());
  for (const std::string& element : elements_) put_element(out, element);
}

GrowSet GrowSet::decode(std::span<const std::byte> bytes) {
  Reader in(bytes, name);
  take_head(in, kind);
  GrowSet set;
  const std::size_t count = take_count(in, 1);
  for (std::size_t i = 0; i < count; ++i) {
    std::string element = take_element(in);
    if (i > 0 && element <= set.elements_.back()) in.fail("elements are not in order");
    set.elements_.push_back(std::move(element));
  }
  take_end(in);
  return set;
}

std::string GrowSet::to_text() const {
  std::string text = "[";
  for (const std::string& element : elements_) {
    if (text.size() > 1) text += ',';
    print_quoted(text, element);
  }
  return text += ']';
}

GrowSet GrowSet::parse(std::string_view text) {
  TextReader in(text, name, set_hint);
  GrowSet set;
  set.elements_ = in.quoted_list();
  in.expect_end();
  return set;
}

std::string GrowSet::to_json() const {
  std::string json = "{\"elements\": [";
  for (const std::string& element : elements_) {
    if (&element != elements_.data()) json += ", ";
    append_json_string(json, element);
  }
  return json += "]}";
}

}  // namespace meridian
