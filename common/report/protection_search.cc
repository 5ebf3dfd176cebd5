#include "common/report/protection_search.h"

#include <algorithm>
#include <map>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

// Measures sets, each once.
class Search {
 public:
  Search(const ProtectionPlan& plan, const LossLimit& limit, int64_t most,
         const std::function<absl::StatusOr<CellResult>(size_t)>& measure)
      : plan_(plan), limit_(limit), most_(most), measure_(measure) {}

  absl::StatusOr<Confirmation> Run() {
    const size_t last = plan_.sets() - 1;
    // The set without protection did not hold: that is known from the campaign.
    size_t low = 0;
    size_t high = SmallestPredicted(plan_, limit_);
    ASSIGN_OR_RETURN(bool holds, Holding(high));
    for (size_t stride = 1; !holds; stride *= 2) {
      low = high;
      high = std::min(high + stride, last);
      ASSIGN_OR_RETURN(holds, Holding(high));
    }
    for (size_t stride = 1; low == 0 && high > 1 && !Spent(); stride *= 2) {
      const size_t below = high - std::min(stride, high - 1);
      ASSIGN_OR_RETURN(holds, Holding(below));
      (holds ? high : low) = below;
    }
    while (high - low > 1 && !Spent()) {
      const size_t middle = low + (high - low) / 2;
      ASSIGN_OR_RETURN(holds, Holding(middle));
      (holds ? high : low) = middle;
    }
    const Measured& found = measured_.at(high);
    return Confirmation{high, found.loss, found.trials, campaigns_, high - low == 1};
  }

 private:
  struct Measured {
    Loss loss;
    int64_t trials;
  };

  bool Spent() const { return campaigns_ >= most_; }

  absl::StatusOr<bool> Holding(size_t set) {
    if (measured_.count(set) == 0) {
      if (set == plan_.sets() - 1) {  // nothing can be hit
        measured_[set] = {{0, {0, 0}}, 0};
      } else {
        ASSIGN_OR_RETURN(measured_[set], Measure(set));
      }
    }
    return Holds(measured_[set].loss, limit_);
  }

  absl::StatusOr<Measured> Measure(size_t set) {
    if (Spent()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("after ", campaigns_,
                       " confirming campaigns no set was found to hold; give "
                       "more by --max-campaigns"));
    }
    ++campaigns_;
    ASSIGN_OR_RETURN(const CellResult cell, measure_(set));
    if (cell.bits != plan_.model_bits() - plan_.bits(set)) {
      return absl::InternalError(absl::StrCat(
          "the confirming campaign hit ", cell.bits, " bits, not the ",
          plan_.model_bits() - plan_.bits(set), " that are not protected: the targets overlap"));
    }
    ASSIGN_OR_RETURN(const Loss loss, LossOf(cell));
    return Measured{loss, static_cast<int64_t>(cell.trials.size())};
  }

  const ProtectionPlan& plan_;
  const LossLimit limit_;
  const int64_t most_;
  const std::function<absl::StatusOr<CellResult>(size_t)>& measure_;
  std::map<size_t, Measured> measured_;
  int64_t campaigns_ = 0;
};

}  // namespace

absl::StatusOr<Confirmation> Confirm(
    const ProtectionPlan& plan, const LossLimit& limit, int64_t most,
    const std::function<absl::StatusOr<CellResult>(size_t set)>& measure) {
  return Search(plan, limit, most, measure).Run();
}

}  // namespace bitquake
