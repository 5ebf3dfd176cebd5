#include "common/report/precision.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/status_macros.h"

namespace bitquake {
namespace {

// The reference in fp32 has an outcome also where it is not measured.
bool IsMeasured(const Campaign& campaign, const GoldenResult& golden) {
  return std::any_of(campaign.formats.begin(), campaign.formats.end(),
                     [&](const NumberFormat& format) { return format.Name() == golden.format; });
}

Bounds BoundsOf(const Campaign& campaign, const GoldenResult& golden) {
  if (campaign.images.kind == ImageSelection::Kind::kSpread) {
    return LossBounds(golden.least_fold_top1, golden.most_fold_top1);
  }
  const double top1 = 100.0 * static_cast<double>(golden.top1) / static_cast<double>(golden.images);
  return LossBounds(top1, top1);
}

}  // namespace

double LossRange(const Campaign& campaign, const std::vector<GoldenResult>& goldens) {
  double range = 100;
  for (const GoldenResult& golden : goldens) {
    if (IsMeasured(campaign, golden)) {
      const Bounds bounds = BoundsOf(campaign, golden);
      range = std::max(range, bounds.high - bounds.low);
    }
  }
  return range;
}

absl::StatusOr<std::vector<VariantPrecision>> PrecisionOfVariants(
    const Campaign& campaign, const std::vector<GoldenResult>& goldens) {
  std::vector<VariantPrecision> variants;
  const double range = LossRange(campaign, goldens);
  for (const GoldenResult& golden : goldens) {
    if (IsMeasured(campaign, golden)) {
      ASSIGN_OR_RETURN(
          PrecisionRule rule,
          PrecisionRule::Create(campaign.trials, BoundsOf(campaign, golden), range, campaign.seed));
      variants.push_back(
          {golden.model, golden.format, std::make_shared<const PrecisionRule>(std::move(rule))});
    }
  }
  return variants;
}

absl::Status FillVariants(const Campaign& campaign, const std::vector<GoldenResult>& goldens,
                          std::vector<CellResult>* cells) {
  ASSIGN_OR_RETURN(const std::vector<VariantPrecision> rules,
                   PrecisionOfVariants(campaign, goldens));
  using Variant = std::pair<std::string, std::string>;
  std::map<Variant, const GoldenResult*> golden_of;
  std::map<Variant, std::shared_ptr<const PrecisionRule>> rule_of;
  for (const GoldenResult& golden : goldens) {
    golden_of[{golden.model, golden.format}] = &golden;
  }
  for (const VariantPrecision& variant : rules) {
    rule_of[{variant.model, variant.format}] = variant.rule;
  }
  for (CellResult& cell : *cells) {
    const auto golden = golden_of.find({cell.key.model, cell.key.format});
    if (golden == golden_of.end()) {
      cell.trials.clear();
      continue;
    }
    cell.golden = *golden->second;
    const auto rule = rule_of.find({cell.key.model, cell.key.format});
    cell.precision = rule == rule_of.end() ? nullptr : rule->second;
  }
  return absl::OkStatus();
}

}  // namespace bitquake
