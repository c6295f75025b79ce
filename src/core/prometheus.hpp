// Prometheus' text format, version 0.0.4: families with HELP and TYPE, samples with labels.
//
// The writer checks what a scraper would choke on: names, and that the samples of one family stand together. Source:
// https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>

namespace meridian {

struct MetricLabel {
  std::string_view name;
  std::string_view value;
};

class PrometheusText {
 public:
  /// Begins a family; `kind` is counter, gauge or untyped. Throws Error if the name is none, the kind is
  /// unknown, or the family has been written already.
  void family(std::string_view name, std::string_view kind, std::string_view help);

  /// A sample of the family that was begun last. Throws Error if there is none, or if a label's name is none or is
  /// there twice.
  void sample(std::span<const MetricLabel> labels, double value);

  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  std::string family_;
  std::set<std::string, std::less<>> written_;
  std::string text_;
};

}  // namespace meridian
