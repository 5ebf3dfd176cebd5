#include "common/stats/threshold_search.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// From 1e-9 to 1e-2, `per_decade` rates a decade.
std::vector<double> Grid(int per_decade) {
  std::vector<double> grid;
  for (int i = 0; i <= 7 * per_decade; ++i) {
    grid.push_back(-9 + static_cast<double>(i) / per_decade);
  }
  return grid;
}

// Loss at a rate, with its half-width.
using Measure = std::function<MeasuredRate(int)>;

Measure Exact(const std::vector<double>& grid, double log10_ber_of_1_pp, double half_width = 0) {
  return [=](int rate) -> MeasuredRate {
    const double loss = std::pow(10, grid[static_cast<size_t>(rate)] - log10_ber_of_1_pp);
    return {rate, 10, loss, {loss - half_width, loss + half_width}};
  };
}

// Measures what the plan says until it says no more.
std::vector<MeasuredRate> Search(const SearchProblem& problem, const Measure& measure,
                                 SearchPlan* plan) {
  std::vector<MeasuredRate> measured;
  for (*plan = PlanSearch(problem, measured).value(); !plan->next.empty();
       *plan = PlanSearch(problem, measured).value()) {
    for (int rate : plan->next) measured.push_back(measure(rate));
    if (measured.size() > problem.log10_ber.size()) ADD_FAILURE() << "measures without end";
  }
  return measured;
}

TEST(ThresholdSearch, BisectsTheGrid) {
  SearchProblem problem = {Grid(10), {1}, false};
  for (int exponent_tenths = -89; exponent_tenths <= -21; ++exponent_tenths) {
    const double truth = exponent_tenths / 10.0 - 0.05;
    SearchPlan plan;
    const auto measured = Search(problem, Exact(problem.log10_ber, truth), &plan);
    EXPECT_LE(measured.size(), 7U);  // ceil(log2(72))
    ASSERT_TRUE(plan.states[0].done);
    EXPECT_LT(plan.states[0].log10_ber.low, truth);
    EXPECT_GT(plan.states[0].log10_ber.high, truth);
    EXPECT_NEAR(plan.states[0].log10_ber.high - plan.states[0].log10_ber.low, 0.1, 1e-9);
  }
}

TEST(ThresholdSearch, SaysWhenAThresholdIsBeyondTheGrid) {
  const SearchProblem problem = {Grid(10), {1}, false};
  SearchPlan plan;
  EXPECT_LE(Search(problem, Exact(problem.log10_ber, -1), &plan).size(), 7U);
  EXPECT_EQ(plan.states[0].mean.above, 71);
  EXPECT_EQ(plan.states[0].log10_ber.low, -2);
  EXPECT_EQ(plan.states[0].log10_ber.high, kInfinity);
  EXPECT_LE(Search(problem, Exact(problem.log10_ber, -10), &plan).size(), 7U);
  EXPECT_EQ(plan.states[0].mean.below, -1);
  EXPECT_EQ(plan.states[0].log10_ber.low, -kInfinity);
  EXPECT_EQ(plan.states[0].log10_ber.high, -9);
  EXPECT_TRUE(plan.states[0].done);
}

TEST(ThresholdSearch, SearchesForSeveralLossesShareWhatTheyMeasure) {
  const SearchProblem problem = {Grid(10), {10, 1, 5}, false};
  SearchPlan plan;
  const auto measured = Search(problem, Exact(problem.log10_ber, -5.03), &plan);
  EXPECT_LE(measured.size(), 13U);  // and not 21
  const double truths[] = {-4.03, -5.03, -5.03 + std::log10(5)};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(plan.states[i].loss, problem.losses[i]);
    EXPECT_LT(plan.states[i].log10_ber.low, truths[i]);
    EXPECT_GT(plan.states[i].log10_ber.high, truths[i]);
  }
}

TEST(ThresholdSearch, ResolvesTheIntervalsEnds) {
  const SearchProblem problem = {Grid(20), {1}, true};
  SearchPlan plan;
  const auto measured = Search(problem, Exact(problem.log10_ber, -5.03, 0.5), &plan);
  EXPECT_LE(measured.size(), 20U);  // of 141
  // The mean's interval contains 1 pp where the loss is from 0.5 to 1.5 pp.
  const double low = -5.03 + std::log10(0.5);
  const double high = -5.03 + std::log10(1.5);
  EXPECT_LE(plan.states[0].log10_ber.low, low);
  EXPECT_GE(plan.states[0].log10_ber.low, low - 0.05);
  EXPECT_GE(plan.states[0].log10_ber.high, high);
  EXPECT_LE(plan.states[0].log10_ber.high, high + 0.05);
}

TEST(ThresholdSearch, StartsInTheMiddleAndGoesOnFromWhatIsMeasured) {
  const SearchProblem problem = {Grid(1), {1}, false};  // 8 rates
  EXPECT_THAT(PlanSearch(problem, {}).value().next, ElementsAre(3));
  const Measure measure = Exact(problem.log10_ber, -3.5);
  EXPECT_THAT(PlanSearch(problem, {measure(3)}).value().next, ElementsAre(5));
  EXPECT_THAT(PlanSearch(problem, {measure(5), measure(3)}).value().next, ElementsAre(6));
  EXPECT_THAT(PlanSearch(problem, {measure(6), measure(5), measure(3)}).value().next,
              ElementsAre());
}

TEST(ThresholdSearch, EndsWhenLossesAreNotMonotone) {
  std::mt19937_64 generator(3);
  std::normal_distribution<double> noise(0, 0.7);
  for (int run = 0; run < 300; ++run) {
    const SearchProblem problem = {Grid(10), {1, 5, 10}, true};
    const Measure exact = Exact(problem.log10_ber, -6);
    SearchPlan plan;
    const auto measured = Search(
        problem,
        [&](int rate) {
          MeasuredRate m = exact(rate);
          const double error = noise(generator);
          m.mean_loss += error;
          m.interval = {m.mean_loss - 1.4, m.mean_loss + 1.4};
          return m;
        },
        &plan);
    EXPECT_LT(measured.size(), 50U);
    for (const SearchState& state : plan.states) {
      EXPECT_TRUE(state.done);
      EXPECT_TRUE(state.mean.IsTight());
      const Bracket& b = state.mean;
      const auto is_measured = [&](int rate) {
        return std::any_of(measured.begin(), measured.end(),
                           [&](const MeasuredRate& m) { return m.rate == rate; });
      };
      EXPECT_TRUE(b.below < 0 || is_measured(b.below));
      EXPECT_TRUE(b.above == 71 || is_measured(b.above));
    }
  }
}

// The rates in the interval are a confidence set: the true threshold is in it as often as the
// means' intervals hold.
TEST(ThresholdSearch, IntervalsCoverTheThreshold) {
  std::mt19937_64 generator(12);
  std::normal_distribution<double> normal;
  const SearchProblem problem = {Grid(10), {5}, true};
  const double truth = -6 + std::log10(5);
  const int kRuns = 2000;
  int covered = 0;
  for (int run = 0; run < kRuns; ++run) {
    // One error for all rates, as nested fault sets have it.
    const double error = normal(generator);
    SearchPlan plan;
    Search(
        problem,
        [&](int rate) -> MeasuredRate {
          const double loss = std::pow(10, problem.log10_ber[static_cast<size_t>(rate)] + 6);
          const double deviation = 0.2 * loss;
          const double mean = loss + deviation * error;
          return {rate, 10, mean, {mean - 1.96 * deviation, mean + 1.96 * deviation}};
        },
        &plan);
    covered += plan.states[0].log10_ber.low <= truth && truth <= plan.states[0].log10_ber.high;
  }
  EXPECT_GE(covered, 0.94 * kRuns);
}

TEST(ThresholdSearch, TypicallyMeasuresFarLessThanItsGrid) {
  SearchProblem problem;
  for (int i = 0; i <= 70; ++i) {
    problem.log10_ber.push_back(-9 + 0.1 * i);
  }
  problem.losses = {1, 5, 10};
  const int rates = TypicalSearchRates(problem, 0.5);
  EXPECT_GE(rates, 7) << "bisection alone";
  EXPECT_LE(rates, 25);
  EXPECT_GT(TypicalSearchRates(problem, 20), rates) << "wide intervals have their ends far apart";
  problem.losses = {5};
  EXPECT_LT(TypicalSearchRates(problem, 0.5), rates);
}

TEST(ThresholdSearch, SaysWhatIsWrong) {
  const auto error = [](const SearchProblem& problem, const std::vector<MeasuredRate>& measured) {
    const absl::Status status = PlanSearch(problem, measured).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  const SearchProblem problem = {{-3, -2}, {1}, true};
  EXPECT_THAT(error({{}, {1}, true}, {}), HasSubstr("no rates"));
  EXPECT_THAT(error({{-3, -3}, {1}, true}, {}), HasSubstr("not above"));
  EXPECT_THAT(error(problem, {{2, 1, 0, {0, 0}}}), HasSubstr("outside of the grid's 2"));
  EXPECT_THAT(error(problem, {{1, 1, 0, {0, 0}}, {1, 1, 0, {0, 0}}}), HasSubstr("twice"));
  EXPECT_THAT(error(problem, {{1, 1, 0, {std::nan(""), 0}}}), HasSubstr("interval"));
  EXPECT_THAT(error(problem, {{1, 0, 0, {0, 0}}}), HasSubstr("without trials"));
}

}  // namespace
}  // namespace bitquake
