// Folds: the data set split once, by a seeded class-balanced shuffle, into parts of nearly equal
// size.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace bitquake {

inline constexpr int kDefaultFolds = 50;
inline constexpr int kMinImagesPerFold = 200;

// `requested` if positive, else kDefaultFolds or as many as have kMinImagesPerFold images; at least
// one, at most one per image.
int FoldCount(int requested, int64_t images);

// Images of each fold, ascending; `folds` is at least one. Sizes differ by at most one, and so do
// the numbers of each class. A pure function of its arguments (Philox keyed by `seed`).
std::vector<std::vector<int64_t>> MakeFolds(absl::Span<const int> labels, int folds, uint64_t seed);

// The folds that trial `trial` sees when each trial sees `count` of `folds`: consecutive ones of a
// seeded permutation, so that any `folds / count` (rounded up) successive trials cover the data
// set. All folds if `count` is `folds` or more. Ascending.
std::vector<int> SpreadFolds(int folds, int64_t count, uint32_t trial, uint64_t seed);

}  // namespace bitquake
