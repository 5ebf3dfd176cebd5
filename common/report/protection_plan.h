// What to protect, from the results of a campaign that hit targets one by one: `bitquake protect`.
//
// The loss of what stays unprotected is predicted as the sum of what each of its targets loses when
// it is hit alone, in the trials that all of them have (trials are paired: trial 7 hits a target
// with the same faults in every cell). A negative mean loss counts as 0. That the sum holds is for
// a confirming campaign to show.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/report/results.h"
#include "common/stats/estimate.h"
#include "common/stats/protection_frontier.h"

namespace bitquake {

// Which of a campaign's cells are asked. What is empty is the campaign's only one.
struct ProtectionQuestion {
  double ber = 0;
  std::string model;
  std::string format;
  std::string fault;
  // Names of the granularities whose targets may be protected. Empty: the only one whose targets
  // make up the model.
  std::vector<std::string> granularities;
  // Whether bit positions of targets are asked, so that the top bits of each may be protected, or
  // whole targets.
  bool by_bits = false;
};

struct ProtectedPart {
  std::string granularity;
  std::string target;
  std::vector<int> positions;  // of each word's bits, the highest first; empty: all
  int64_t bits = 0;
  double loss = 0;  // pp, mean, of these bits hit alone
};

struct Loss {
  double mean = 0;             // pp of top-1
  Interval interval = {0, 0};  // 95%, Student, over trials
};

class ProtectionPlan {
 public:
  // Errors: InvalidArgument that says what the campaign has instead: no cell of the model as a
  // whole at that rate, targets that do not make up the model, an answer that is not the only one,
  // or fewer than two trials that all cells have.
  static absl::StatusOr<ProtectionPlan> Make(const std::vector<CellResult>& all_cells,
                                             const ProtectionQuestion& question);

  // With what was left empty filled in, and the campaign's own bit-error rate.
  const ProtectionQuestion& question() const { return question_; }
  int64_t model_bits() const { return model_bits_; }
  int64_t trials() const { return static_cast<int64_t>(trials_); }  // that all cells have
  const Loss& unprotected() const { return unprotected_; }          // measured

  // What may be protected, from nothing to everything, by ascending cost. Each is the smallest set
  // for its predicted loss; but those after the first that leaves a predicted loss of 0 add, from
  // the smallest on, what lost nothing.
  size_t sets() const { return sets_.size(); }
  int64_t bits(size_t set) const { return sets_[set].bits; }
  Loss predicted(size_t set) const;
  std::vector<ProtectedPart> parts(size_t set) const;

 private:
  // A target, or one of its bit positions.
  struct Piece {
    int position;  // -1: all
    int64_t bits;
    double loss;                 // pp, mean, at least 0
    std::vector<double> losses;  // by trial
  };
  struct Part {
    std::string granularity;
    std::string target;
    std::vector<Piece> pieces;  // by descending position
  };

  absl::Status AddParts(const std::vector<const CellResult*>& targets);
  absl::Status FindSets();

  ProtectionQuestion question_;
  int64_t model_bits_ = 0;
  size_t trials_ = 0;
  Loss unprotected_;
  std::vector<Part> parts_;
  std::vector<ProtectionChoice> sets_;
};

// What a loss must keep to.
struct LossLimit {
  double pp = 0;
  bool surely = false;  // by the upper end of its interval, not by its mean
};
bool Holds(const Loss& loss, const LossLimit& limit);

// The smallest set of the plan that protects something and whose predicted loss holds. What is lost
// without protection is measured, not predicted.
size_t SmallestPredicted(const ProtectionPlan& plan, const LossLimit& limit);

// The loss of a cell. Errors: InvalidArgument if it has fewer than two trials.
absl::StatusOr<Loss> LossOf(const CellResult& cell);

}  // namespace bitquake
