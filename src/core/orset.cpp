#include "core/orset.hpp"

#include <algorithm>
#include <functional>

#include "core/error.hpp"
#include "core/gset.hpp"
#include "core/json_string.hpp"
#include "core/type_text.hpp"

namespace meridian {

namespace {

using Element = ObservedRemoveSet::Element;

template <typename List>
auto find(List& elements, std::string_view text) {
  return std::ranges::lower_bound(elements, text, std::less<>{}, &Element::text);
}

template <typename List>
bool holds(List& elements, std::string_view text) {
  const auto position = find(elements, text);
  return position != elements.end() && position->text == text;
}

/// The dots of one element after a merge; either side may lack it.
void merge_dots(const Element* mine, const VersionVector& seen_by_me, const Element* theirs,
                const VersionVector& seen_by_them, Element& out) {
  const auto has = [](const Element* element, Dot dot) {
    return element != nullptr && std::ranges::find(element->dots, dot) != element->dots.end();
  };
  if (mine != nullptr) {
    for (const Dot& dot : mine->dots) {
      if (has(theirs, dot) || !seen_by_them.covers(dot)) out.dots.push_back(dot);
    }
  }
  if (theirs != nullptr) {
    for (const Dot& dot : theirs->dots) {
      if (!has(mine, dot) && !seen_by_me.covers(dot)) out.dots.push_back(dot);
    }
  }
  std::ranges::sort(out.dots);
}

}  // namespace

ObservedRemoveSet ObservedRemoveSet::literal(std::vector<std::string> elements) {
  const GrowSet sorted = GrowSet::literal(std::move(elements));
  ObservedRemoveSet set;
  if (sorted.elements().empty()) return set;
  ContentNumber number;
  for (const std::string& element : sorted.elements()) number.add(element);
  const Dot dot{nobody, number.value()};
  set.seen_.see(dot);
  for (const std::string& element : sorted.elements()) set.elements_.push_back({element, {dot}});
  return set;
}

std::vector<std::string> ObservedRemoveSet::elements() const {
  std::vector<std::string> texts;
  texts.reserve(elements_.size());
  for (const Element& element : elements_) texts.push_back(element.text);
  return texts;
}

bool ObservedRemoveSet::contains(std::string_view element) const noexcept { return holds(elements_, element); }

void ObservedRemoveSet::add(Actor actor, std::string_view element) {
  const Dot dot = seen_.next(actor);
  const auto position = find(elements_, element);
  if (position != elements_.end() && position->text == element) {
    position->dots.assign(1, dot);
  } else {
    elements_.insert(position, Element{std::string(element), {dot}});
  }
}

void ObservedRemoveSet::remove(std::string_view element) {
  const auto position = find(elements_, element);
  if (position != elements_.end() && position->text == element) elements_.erase(position);
}

void ObservedRemoveSet::merge(const ObservedRemoveSet& other) {
  std::vector<Element> merged;
  auto mine = elements_.begin();
  auto theirs = other.elements_.begin();
  while (mine != elements_.end() || theirs != other.elements_.end()) {
    const bool only_mine = theirs == other.elements_.end() || (mine != elements_.end() && mine->text < theirs->text);
    const bool only_theirs = mine == elements_.end() || (theirs != other.elements_.end() && theirs->text < mine->text);
    Element element{only_theirs ? theirs->text : mine->text, {}};
    merge_dots(only_theirs ? nullptr : &*mine, seen_, only_mine ? nullptr : &*theirs, other.seen_, element);
    if (!element.dots.empty()) merged.push_back(std::move(element));
    if (!only_theirs) ++mine;
    if (!only_mine) ++theirs;
  }
  elements_ = std::move(merged);
  seen_.merge(other.seen_);
}

/// Whether this state came from `before` by operations of `actor` alone.
bool ObservedRemoveSet::follows(const ObservedRemoveSet& before, Actor actor) const {
  if (!before.seen_.advanced_by(actor, seen_)) return false;
  return std::ranges::all_of(elements_, [&](const Element& element) {
    const auto old = find(before.elements_, element.text);
    const bool known = old != before.elements_.end() && old->text == element.text;
    return std::ranges::all_of(element.dots, [&](const Dot& dot) {
      return !before.seen_.covers(dot) || (known && std::ranges::find(old->dots, dot) != old->dots.end());
    });
  });
}

ObservedRemoveSet ObservedRemoveSet::absorb(const ObservedRemoveSet& before, const ObservedRemoveSet& after,
                                            Actor actor) {
  if (after.follows(before, actor)) return after;
  ObservedRemoveSet result = before;
  for (const Element& element : before.elements_) {
    if (!after.contains(element.text)) result.remove(element.text);
  }
  for (const Element& element : after.elements_) {
    if (!before.contains(element.text)) result.add(actor, element.text);
  }
  return result;
}

void ObservedRemoveSet::encode(Bytes& bytes) const {
  Writer out(bytes);
  put_head(out, kind);
  put_seen(out, seen_);
  out.room_for(1);
  out.varint(elements_.size());
  for (const Element& element : elements_) {
    put_element(out, element.text);
    out.room_for(1);
    out.varint(element.dots.size());
    for (const Dot& dot : element.dots) put_dot(out, seen_, dot);
  }
}

ObservedRemoveSet ObservedRemoveSet::decode(std::span<const std::byte> bytes) {
  Reader in(bytes, name);
  take_head(in, kind);
  ObservedRemoveSet set;
  set.seen_ = take_seen(in);
  const std::size_t count = take_count(in, 4);
  for (std::size_t i = 0; i < count; ++i) {
    Element element{take_element(in), {}};
    if (i > 0 && element.text <= set.elements_.back().text) in.fail("elements are not in order");
    const std::size_t dots = take_count(in, 2);
    if (dots == 0) in.fail("an element that nobody added");
    for (std::size_t d = 0; d < dots; ++d) {
      const Dot dot = take_dot(in, set.seen_);
      if (d > 0 && dot.actor <= element.dots.back().actor) in.fail("actors are not in order");
      element.dots.push_back(dot);
    }
    set.elements_.push_back(std::move(element));
  }
  take_end(in);
  return set;
}

bool ObservedRemoveSet::is_literal() const { return seen_.items().size() <= 1 && *this == literal(elements()); }

std::string ObservedRemoveSet::literal_text() const {
  std::string text = "[";
  for (const Element& element : elements_) {
    if (text.size() > 1) text += ',';
    print_quoted(text, element.text);
  }
  return text += ']';
}

std::string ObservedRemoveSet::value_key() const { return literal_text(); }

std::string ObservedRemoveSet::to_text() const {
  if (is_literal()) return literal_text();
  std::string text = "{seen:";
  print_dots(text, seen_);
  text += ",elements:[";
  for (const Element& element : elements_) {
    if (&element != elements_.data()) text += ',';
    print_quoted(text, element.text);
    for (const Dot& dot : element.dots) print_dot(text += '@', dot);
  }
  return text += "]}";
}

ObservedRemoveSet ObservedRemoveSet::parse(std::string_view text) {
  TextReader in(text, name, set_hint);
  ObservedRemoveSet set;
  if (!in.accept("{seen:")) {
    set = literal(in.quoted_list());
    in.expect_end();
    return set;
  }
  set.seen_ = in.seen();
  in.expect(",elements:[");
  in.list([&] {
    Element element{in.quoted(), {}};
    if (!set.elements_.empty() && element.text <= set.elements_.back().text) in.refuse("elements are not in order");
    in.expect("@");
    do {
      const Dot dot = in.dot();
      if (!set.seen_.covers(dot)) in.refuse("an add that was not seen");
      if (!element.dots.empty() && dot.actor <= element.dots.back().actor) in.refuse("actors are not in order");
      element.dots.push_back(dot);
    } while (in.accept("@"));
    set.elements_.push_back(std::move(element));
  });
  in.expect("}");
  in.expect_end();
  if (set.is_literal()) in.refuse("it is written as a plain list");
  return set;
}

std::string ObservedRemoveSet::to_json() const {
  std::string json = "{\"elements\": {";
  for (const Element& element : elements_) {
    if (&element != elements_.data()) json += ", ";
    append_json_string(json, element.text);
    VersionVector adds;
    for (const Dot& dot : element.dots) adds.see(dot);
    print_json_seen(json += ": ", adds);
  }
  print_json_seen(json += "}, \"seen\": ", seen_);
  return json += '}';
}

}  // namespace meridian
