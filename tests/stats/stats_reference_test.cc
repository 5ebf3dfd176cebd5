// Against tests/data/stats/reference.json, which SciPy and exact enumeration gave (reference.py).
#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "common/stats/interval.h"
#include "common/stats/rank.h"
#include "common/stats/sequential.h"
#include "common/stats/threshold.h"
#include "common/stats/vulnerability.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

using Json = nlohmann::json;

// So many that the error of drawing is well below the tolerances here.
constexpr int kManyResamples = 200'000;

const Json& Reference() {
  static const Json* const reference = [] {
    std::ifstream file(BITQUAKE_SOURCE_DIR "/tests/data/stats/reference.json");
    return new Json(Json::parse(file));
  }();
  return *reference;
}

double Number(const Json& json) {
  if (json.is_string()) {
    const double infinity = std::numeric_limits<double>::infinity();
    return json.get<std::string>() == "inf" ? infinity : -infinity;
  }
  return json.get<double>();
}

std::vector<double> Numbers(const Json& json) { return json.get<std::vector<double>>(); }

std::vector<std::vector<double>> Rows(const Json& json) {
  return json.get<std::vector<std::vector<double>>>();
}

BootstrapOptions ManyResamples(double confidence) {
  BootstrapOptions options;
  options.confidence = confidence;
  options.resamples = kManyResamples;
  options.seed = 11;
  return options;
}

void ExpectEnd(double end, double expected, double tolerance, const std::string& what) {
  if (std::isinf(expected)) {
    EXPECT_EQ(end, expected) << what;
  } else {
    EXPECT_NEAR(end, expected, tolerance) << what;
  }
}

// `tolerance` is in half-widths.
void ExpectInterval(const Interval& interval, const Json& expected, double tolerance,
                    const std::string& what) {
  const double low = Number(expected[0]);
  const double high = Number(expected[1]);
  const double half_width = std::isfinite(high - low) ? (high - low) / 2 : 1;
  ExpectEnd(interval.low, low, tolerance * half_width + 1e-12, what + ", low");
  ExpectEnd(interval.high, high, tolerance * half_width + 1e-12, what + ", high");
}

TEST(StatsReference, MomentsAndQuantiles) {
  for (const Json& sample : Reference()["samples"]) {
    const std::vector<double> values = Numbers(sample["values"]);
    EXPECT_NEAR(Mean(values), sample["mean"], 1e-12);
    EXPECT_NEAR(StandardDeviation(values), sample["deviation"], 1e-12);
    TrialSums sums;
    for (double value : values) {
      sums.Add(value);
    }
    EXPECT_NEAR(sums.Mean(), sample["mean"], 1e-12);
    EXPECT_NEAR(std::sqrt(sums.Variance()), sample["deviation"], 1e-12);
    EXPECT_NEAR(sums.Skewness(), sample["skewness"], 1e-9);
    for (const auto& [q, quantile] : sample["quantiles"].items()) {
      EXPECT_NEAR(Quantile(values, std::stod(q)), quantile, 1e-12);
    }
  }
}

TEST(StatsReference, IntervalsOfAMean) {
  for (const Json& row : Reference()["intervals"]) {
    const std::vector<double> values = Numbers(row["values"]);
    IntervalOptions options;
    options.bounds = {-20, 80};
    options.bootstrap = ManyResamples(row["confidence"]);
    for (IntervalMethod method :
         {IntervalMethod::kStudent, IntervalMethod::kBca, IntervalMethod::kBernstein}) {
      options.method = method;
      const std::string name(IntervalMethodName(method));
      ExpectInterval(MeanInterval(values, options), row[name],
                     method == IntervalMethod::kBca ? 0.03 : 1e-9,
                     name + " of " + row["values"].dump());
    }
  }
}

TEST(StatsReference, ExpandedTails) {
  for (const Json& row : Reference()["expanded_tails"]) {
    const double tail = row["tail"];
    EXPECT_NEAR(ExpandedTail(row["n"], row["confidence"]), tail, 1e-7 * tail) << row.dump();
  }
}

TEST(StatsReference, IsotonicFits) {
  for (const Json& row : Reference()["isotonic"]) {
    const std::vector<double> fit = IsotonicFit(Numbers(row["values"]), Numbers(row["weights"]));
    const std::vector<double> expected = Numbers(row["fit"]);
    ASSERT_EQ(fit.size(), expected.size());
    for (size_t i = 0; i < fit.size(); ++i) {
      EXPECT_NEAR(fit[i], expected[i], 1e-12) << row.dump();
    }
  }
}

TEST(StatsReference, Thresholds) {
  const Json& reference = Reference()["thresholds"];
  std::vector<double> losses;
  for (const Json& row : reference["thresholds"]) {
    losses.push_back(row["loss"]);
  }
  const std::vector<Threshold> thresholds =
      FindThresholds({Numbers(reference["log10_ber"]), Rows(reference["losses"])}, losses,
                     ManyResamples(reference["confidence"]))
          .value();
  ASSERT_EQ(thresholds.size(), losses.size());
  for (size_t i = 0; i < losses.size(); ++i) {
    const Json& row = reference["thresholds"][i];
    EXPECT_EQ(thresholds[i].loss, losses[i]);
    ExpectEnd(thresholds[i].log10_ber, Number(row["log10_ber"]), 1e-12, row.dump());
    ExpectInterval(thresholds[i].interval, row["interval"], 0.03, row.dump());
  }
}

std::vector<Sibling> Siblings(const Json& reference) {
  std::vector<Sibling> siblings;
  for (size_t i = 0; i < reference["losses"].size(); ++i) {
    siblings.push_back(
        {Numbers(reference["losses"][i]), reference["goldens"][i], reference["bits"][i]});
  }
  return siblings;
}

TEST(StatsReference, VulnerabilityInItsFourForms) {
  const Json& reference = Reference()["targets"];
  const std::vector<Vulnerability> vulnerabilities =
      EstimateVulnerability(Siblings(reference), ManyResamples(reference["confidence"]));
  for (size_t i = 0; i < vulnerabilities.size(); ++i) {
    const Json& row = reference["vulnerability"][i];
    const auto expect = [&](const IntervalEstimate& estimate, const char* form, double tolerance) {
      EXPECT_NEAR(estimate.value, row[form][0], 1e-9) << form;
      ExpectInterval(estimate.interval, {row[form][1], row[form][2]}, tolerance, form);
    };
    expect(vulnerabilities[i].loss, "loss", 1e-9);
    expect(vulnerabilities[i].relative_loss, "relative_loss", 1e-9);
    expect(vulnerabilities[i].loss_per_mbit, "loss_per_mbit", 1e-9);
    expect(vulnerabilities[i].vf, "vf", 0.03);
  }
}

TEST(StatsReference, Ranking) {
  const Json& reference = Reference()["targets"];
  const std::vector<TargetRank> ranks = RankTargets(
      Rows(reference["losses"]), reference["most_fragile"], ManyResamples(reference["confidence"]));
  for (size_t i = 0; i < ranks.size(); ++i) {
    const Json& row = reference["ranking"][i];
    EXPECT_EQ(ranks[i].rank, row["rank"]);
    EXPECT_NEAR(ranks[i].among_most_fragile, row["share"], 0.005);
    EXPECT_EQ(ranks[i].interval.low, row["interval"][0]) << i;
    EXPECT_EQ(ranks[i].interval.high, row["interval"][1]) << i;
  }
}

TEST(StatsReference, SpearmanCorrelations) {
  for (const Json& row : Reference()["spearman"]) {
    const RankCorrelation correlation =
        SpearmanCorrelation(Numbers(row["x"]), Numbers(row["y"]), row["confidence"]);
    EXPECT_EQ(correlation.n, static_cast<int64_t>(row["x"].size()));
    EXPECT_NEAR(correlation.rho, row["rho"], 1e-12);
    EXPECT_NEAR(correlation.p_value, row["p_value"], 1e-10);
    ExpectInterval(correlation.interval, row["interval"], 1e-10, row["x"].dump());
  }
}

}  // namespace
}  // namespace bitquake
