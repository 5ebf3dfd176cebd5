#include "common/campaign/folds.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "common/base/philox.h"

namespace bitquake {
namespace {

// What a permutation is for; each has random numbers of its own.
enum class Purpose : uint32_t { kShuffle = 0, kSpread = 1 };

// Random numbers n = 0, 1, ...: x0 + 2^32 x1 of Philox at counter (n mod 2^32, n >> 32, purpose,
// 0), keyed by the seed's low and high words.
class RandomNumbers {
 public:
  RandomNumbers(uint64_t seed, Purpose purpose)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        purpose_(static_cast<uint32_t>(purpose)) {}

  // Fisher and Yates. The bias of the remainder is below size / 2^64.
  template <typename T>
  void Shuffle(std::vector<T>* values) {
    for (size_t left = values->size(); left > 1; --left) {
      std::swap((*values)[left - 1], (*values)[Next() % left]);
    }
  }

 private:
  uint64_t Next() {
    const PhiloxCounter x = Philox4x32(
        {static_cast<uint32_t>(next_), static_cast<uint32_t>(next_ >> 32), purpose_, 0}, key_);
    ++next_;
    return uint64_t{x[1]} << 32 | x[0];
  }

  PhiloxKey key_;
  uint32_t purpose_;
  uint64_t next_ = 0;
};

}  // namespace

int FoldCount(int requested, int64_t images) {
  const int64_t wanted =
      requested > 0 ? requested : std::min<int64_t>(kDefaultFolds, images / kMinImagesPerFold);
  return static_cast<int>(std::max<int64_t>(1, std::min(wanted, images)));
}

std::vector<std::vector<int64_t>> MakeFolds(absl::Span<const int> labels, int folds,
                                            uint64_t seed) {
  std::map<int, std::vector<int64_t>> by_label;
  for (size_t image = 0; image < labels.size(); ++image) {
    by_label[labels[image]].push_back(static_cast<int64_t>(image));
  }
  std::vector<std::vector<int64_t>> classes;
  for (auto& [label, images] : by_label) {
    classes.push_back(std::move(images));
  }
  // Dealt class by class, as cards are: each class is spread evenly, and so is the whole. Classes
  // are shuffled too, for where classes are smaller than the number of folds, a fold holds some of
  // them.
  RandomNumbers random(seed, Purpose::kShuffle);
  random.Shuffle(&classes);
  std::vector<std::vector<int64_t>> dealt(folds);
  size_t next = 0;
  for (std::vector<int64_t>& images : classes) {
    random.Shuffle(&images);
    for (int64_t image : images) {
      dealt[next++ % dealt.size()].push_back(image);
    }
  }
  for (std::vector<int64_t>& fold : dealt) {
    std::sort(fold.begin(), fold.end());
  }
  return dealt;
}

std::vector<int> SpreadFolds(int folds, int64_t count, uint32_t trial, uint64_t seed) {
  std::vector<int> order(folds);
  std::iota(order.begin(), order.end(), 0);
  RandomNumbers(seed, Purpose::kSpread).Shuffle(&order);
  const int64_t seen = std::min<int64_t>(count, folds);
  std::vector<int> chosen;
  for (int64_t i = 0; i < seen; ++i) {
    chosen.push_back(order[(trial * seen + i) % folds]);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace bitquake
