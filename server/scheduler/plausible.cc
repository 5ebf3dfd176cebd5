#include "server/scheduler/plausible.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

struct Count {
  const char* name;
  int64_t value;
};

// Each counts some of the images.
std::string OutOfRange(std::initializer_list<Count> counts, int64_t images) {
  for (const Count& count : counts) {
    if (count.value < 0 || count.value > images) {
      return absl::StrCat(count.name, " ", count.value, " of ", images, " images");
    }
  }
  return "";
}

std::string WrongFlips(const TrialOutcomeReport& trial) {
  int64_t left = trial.flips;
  for (const int64_t flips : trial.flips_per_bit) {
    if (flips < 0 || flips > left) {
      return absl::StrCat("flips_per_bit are not parts of ", trial.flips, " flips");
    }
    left -= flips;
  }
  return left == 0 ? "" : absl::StrCat("flips_per_bit lack ", left, " of ", trial.flips, " flips");
}

}  // namespace

std::string WhatCannotBe(const ProbeOutcome& probe) {
  const auto& folds = probe.fold_sizes;
  const bool whole = std::all_of(folds.begin(), folds.end(), [](int size) { return size > 0; }) &&
                     std::accumulate(folds.begin(), folds.end(), int64_t{0}) == probe.images;
  if (probe.images <= 0 || !whole) {
    return absl::StrCat("a probe of ", probe.images, " images whose ", folds.size(),
                        " folds do not add up to them");
  }
  return probe.chunk > 0 ? "" : absl::StrCat("a probe with chunks of ", probe.chunk, " images");
}

std::string WhatCannotBe(const GoldenOutcomeReport& golden) {
  std::string range = OutOfRange({{"top1", golden.top1}, {"top5", golden.top5}}, golden.images);
  if (!range.empty()) {
    return range;
  }
  return golden.top1 <= golden.top5
             ? ""
             : absl::StrCat("top1 ", golden.top1, " is above top5 ", golden.top5);
}

std::string WhatCannotBe(const TrialOutcomeReport& trial) {
  std::string range = OutOfRange({{"top1", trial.top1},
                                  {"top5", trial.top5},
                                  {"golden_top1", trial.golden_top1},
                                  {"golden_top5", trial.golden_top5},
                                  {"sdc", trial.sdc},
                                  {"right_to_wrong", trial.right_to_wrong},
                                  {"wrong_to_right", trial.wrong_to_right},
                                  {"due", trial.due},
                                  {"inferences", trial.inferences}},
                                 trial.images);
  if (!range.empty()) {
    return range;
  }
  if (trial.top1 > trial.top5 || trial.golden_top1 > trial.golden_top5) {
    return absl::StrCat("top1 ", trial.top1, " (golden ", trial.golden_top1, ") is above top5 ",
                        trial.top5, " (golden ", trial.golden_top5, ")");
  }
  if (trial.top1 != trial.golden_top1 - trial.right_to_wrong + trial.wrong_to_right) {
    return absl::StrCat("top1 ", trial.top1, " is not golden's ", trial.golden_top1, " less ",
                        trial.right_to_wrong, " right to wrong and ", trial.wrong_to_right,
                        " wrong to right");
  }
  // A prediction that is wrong now is another one, or none.
  if (trial.sdc + trial.due > trial.images || trial.right_to_wrong > trial.sdc + trial.due) {
    return absl::StrCat("sdc ", trial.sdc, " and due ", trial.due, " of ", trial.images,
                        " images, ", trial.right_to_wrong, " of them right to wrong");
  }
  if (trial.flips == 0 && (trial.sdc != 0 || trial.right_to_wrong != 0 ||
                           trial.wrong_to_right != 0 || trial.top5 != trial.golden_top5)) {
    return "nothing was flipped, and predictions differ from golden";
  }
  return WrongFlips(trial);
}

}  // namespace bitquake
