// By which rule a campaign's cells are judged: `trials` and `interval`, applied to each variant.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/campaign/campaign.h"
#include "common/report/results.h"
#include "common/stats/trial_design.h"

namespace bitquake {

// The rule of a variant, one of the campaign's models in one of its formats.
struct VariantPrecision {
  std::string model;
  std::string format;
  std::shared_ptr<const PrecisionRule> rule;
};

// What all losses of the campaign's trials keep apart at most, in percentage points: 100 where
// every trial sees the same images; a little more where golden is better on some folds than on
// others.
double LossRange(const Campaign& campaign, const std::vector<GoldenResult>& goldens);

// Of those of the campaign's variants whose golden outcome is among `goldens`. Errors: as
// StoppingRule.
absl::StatusOr<std::vector<VariantPrecision>> PrecisionOfVariants(
    const Campaign& campaign, const std::vector<GoldenResult>& goldens);

// Gives each cell its golden outcome and its rule. A cell whose golden is not among `goldens` loses
// its trials: they have nothing to be compared with yet. Errors: as PrecisionOfVariants.
absl::Status FillVariants(const Campaign& campaign, const std::vector<GoldenResult>& goldens,
                          std::vector<CellResult>* cells);

}  // namespace bitquake
