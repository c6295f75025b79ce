#include "core/prometheus.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "core/error.hpp"

namespace meridian {
namespace {

TEST(Prometheus, WritesFamiliesAndSamples) {
  PrometheusText text;
  text.family("meridian_lag_seconds", "gauge", "Lag of a peer.");
  text.sample(std::array{MetricLabel{"peer", "eu"}, MetricLabel{"quantile", "0.95"}}, 0.25);
  text.sample(std::array{MetricLabel{"peer", "ap"}}, 1e-06);
  text.family("meridian_parked_rows", "counter", "Rows.");
  text.sample({}, 12345678901.0);
  EXPECT_EQ(
      text.text(),
      "# HELP meridian_lag_seconds Lag of a peer.\n# TYPE meridian_lag_seconds gauge\n"
      "meridian_lag_seconds{peer=\"eu\",quantile=\"0.95\"} 0.25\nmeridian_lag_seconds{peer=\"ap\"} 1e-06\n"
      "# HELP meridian_parked_rows Rows.\n# TYPE meridian_parked_rows counter\nmeridian_parked_rows 12345678901\n");
}

TEST(Prometheus, EscapesWhatWouldEndALineOrALabel) {
  PrometheusText text;
  text.family("m", "untyped", "one\ntwo \\ \"three\"");
  text.sample(std::array{MetricLabel{"l", "a\"b\\c\nd} 1\n"}}, 0);
  EXPECT_EQ(text.text(), "# HELP m one\\ntwo \\\\ \"three\"\n# TYPE m untyped\nm{l=\"a\\\"b\\\\c\\nd} 1\\n\"} 0\n");
}

TEST(Prometheus, WritesWhatIsNoFiniteNumber) {
  PrometheusText text;
  text.family("m", "gauge", "");
  text.sample({}, std::numeric_limits<double>::infinity());
  text.sample({}, -std::numeric_limits<double>::infinity());
  text.sample({}, std::nan(""));
  EXPECT_EQ(text.text(), "# HELP m \n# TYPE m gauge\nm +Inf\nm -Inf\nm NaN\n");
}

TEST(Prometheus, RefusesWhatAScraperWouldRefuse) {
  PrometheusText text;
  EXPECT_THROW(text.sample({}, 1), Error);
  for (const char* const name : {"", "9m", "a-b", "a b", "a:b", "\xc3\xbc"}) {
    EXPECT_THROW(text.family(name, "gauge", ""), Error) << name;
  }
  EXPECT_THROW(text.family("m", "histogram", ""), Error);
  text.family("m", "gauge", "");
  EXPECT_THROW(text.family("m", "gauge", ""), Error);
  EXPECT_THROW(text.sample(std::array{MetricLabel{"__l", ""}}, 1), Error);
  EXPECT_THROW(text.sample(std::array{MetricLabel{"l", ""}, MetricLabel{"l", ""}}, 1), Error);
  EXPECT_EQ(text.text(), "# HELP m \n# TYPE m gauge\n") << "a refused sample leaves nothing behind";
}

}  // namespace
}  // namespace meridian
