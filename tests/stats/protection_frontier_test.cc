#include "common/stats/protection_frontier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace bitquake {
namespace {

// Every choice, in the order of steps.
std::vector<ProtectionChoice> AllChoices(const std::vector<ProtectionPart>& parts) {
  std::vector<ProtectionChoice> all;
  std::vector<int> steps(parts.size());
  while (true) {
    ProtectionChoice choice{0, 0, steps};
    for (size_t i = 0; i < parts.size(); ++i) {
      choice.bits += parts[i][steps[i]].bits;
      choice.loss += parts[i][steps[i]].loss;
    }
    all.push_back(choice);
    size_t i = 0;
    while (i < parts.size() && ++steps[i] == static_cast<int>(parts[i].size())) {
      steps[i++] = 0;
    }
    if (i == parts.size()) {
      return all;
    }
  }
}

// By looking at all pairs.
std::vector<std::pair<int64_t, double>> UnbeatenOf(const std::vector<ProtectionChoice>& all) {
  std::vector<std::pair<int64_t, double>> unbeaten;
  for (const ProtectionChoice& one : all) {
    bool beaten = false;
    for (const ProtectionChoice& other : all) {
      beaten = beaten || (other.bits <= one.bits && other.loss <= one.loss &&
                          (other.bits < one.bits || other.loss < one.loss));
    }
    if (!beaten) {
      unbeaten.emplace_back(one.bits, one.loss);
    }
  }
  std::sort(unbeaten.begin(), unbeaten.end());
  unbeaten.erase(std::unique(unbeaten.begin(), unbeaten.end()), unbeaten.end());
  return unbeaten;
}

void ExpectBruteForce(const std::vector<ProtectionPart>& parts) {
  const auto frontier = ProtectionFrontier(parts);
  ASSERT_TRUE(frontier.ok()) << frontier.status();
  std::vector<std::pair<int64_t, double>> found;
  for (const ProtectionChoice& choice : *frontier) {
    found.emplace_back(choice.bits, choice.loss);
    int64_t bits = 0;
    double loss = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      bits += parts[i][choice.steps[i]].bits;
      loss += parts[i][choice.steps[i]].loss;
    }
    EXPECT_EQ(choice.bits, bits);
    EXPECT_EQ(choice.loss, loss);
  }
  EXPECT_EQ(found, UnbeatenOf(AllChoices(parts)));
}

TEST(ProtectionFrontier, IsThatOfBruteForceOverAllSets) {
  std::mt19937 random(2418);
  for (int round = 0; round < 200; ++round) {
    // Losses are multiples of 1/64, so sums are exact and ties happen.
    std::vector<ProtectionPart> parts(1 + random() % 8);
    for (ProtectionPart& part : parts) {
      part = {{0, static_cast<double>(random() % 200) / 64},
              {static_cast<int64_t>(1 + random() % 30), 0}};
    }
    ExpectBruteForce(parts);
  }
}

TEST(ProtectionFrontier, ChoosesStepsOfParts) {
  std::mt19937 random(7);
  for (int round = 0; round < 100; ++round) {
    std::vector<ProtectionPart> parts(1 + random() % 4);
    for (ProtectionPart& part : parts) {
      const auto words = static_cast<int64_t>(1 + random() % 9);
      // Protecting more need not lose less, where losses are noise.
      for (int64_t step = 0; step < 5; ++step) {
        part.push_back({step * words, static_cast<double>(random() % 64) / 64});
      }
    }
    ExpectBruteForce(parts);
  }
}

TEST(ProtectionFrontier, OfManyEqualPartsIsShort) {
  std::vector<ProtectionPart> parts;
  for (int i = 0; i < 144; ++i) {
    parts.push_back({{0, 0.01 * i}, {1000, 0}});
  }
  const auto frontier = ProtectionFrontier(parts);
  ASSERT_TRUE(frontier.ok());
  EXPECT_EQ(frontier->size(), 144u);  // the first part loses nothing and is never protected
  EXPECT_EQ(frontier->front().bits, 0);
  EXPECT_EQ(frontier->back().loss, 0);
}

TEST(ProtectionFrontier, OfNothingIsNothing) {
  const auto frontier = ProtectionFrontier({});
  ASSERT_TRUE(frontier.ok());
  ASSERT_EQ(frontier->size(), 1u);
  EXPECT_EQ(frontier->front().bits, 0);
}

TEST(ProtectionFrontier, RefusesWhatItCannotCompare) {
  EXPECT_EQ(ProtectionFrontier({{}}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ProtectionFrontier({{{1, 0}}}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ProtectionFrontier({{{0, 0}, {5, 0}, {5, 0}}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  std::vector<ProtectionPart> parts;
  for (int i = 0; i < 12; ++i) {  // every set is unbeaten
    parts.push_back({{0, std::ldexp(1, i)}, {int64_t{1} << i, 0}});
  }
  EXPECT_EQ(ProtectionFrontier(parts)->size(), 4096u);
  EXPECT_EQ(ProtectionFrontier(parts, 5000).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace bitquake
