#include "tests/fuzz/campaign_checks.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/base/status_macros.h"
#include "common/campaign/cell_rates.h"
#include "tests/fault/vit_surface.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/surface_checks.h"

namespace bitquake {
namespace {

absl::Status ExpandVariant(const Campaign& campaign, const NumberFormat& format,
                           const Surface& surface, int64_t most_cells) {
  int64_t cells = 0;
  for (const FaultModel& fault : campaign.faults) {
    ASSIGN_OR_RETURN(const CellRates cell_rates, CellRates::Make(campaign, fault, surface, format));
    for (const Granularity& granularity : campaign.granularities) {
      ASSIGN_OR_RETURN(const std::vector<Target> targets,
                       ExpandTargets(surface, granularity, format));
      MustLieWithin(surface, targets);
      for (const Target& target : targets) {
        ASSIGN_OR_RETURN(const std::vector<double> rates, cell_rates.Of(granularity, target));
        Must(!rates.empty(), "a target has a cell");
        Must(std::is_sorted(rates.begin(), rates.end()), "rates ascend");
        Must(rates.front() >= 0 && rates.back() <= 1, "rates are probabilities");
        cells += static_cast<int64_t>(rates.size());
        if (cells > most_cells) {
          return absl::OkStatus();
        }
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

void MustSurviveJson(const Campaign& campaign) {
  const std::string resolved = ToJson(campaign);
  const absl::StatusOr<Campaign> again = ParseCampaign(resolved, "resolved");
  Must(again.ok(), "a resolved campaign is accepted: " + again.status().ToString());
  Must(ToJson(*again) == resolved, "a resolved campaign says the same: " + resolved);
}

void Expand(const Campaign& campaign, int64_t most_cells) {
  static const Surface& surface = *new Surface(VitSurface(/*depth=*/2));
  const absl::Status expanded =
      ExpandVariant(campaign, campaign.formats.front(), surface, most_cells);
  Must(expanded.ok() || absl::IsNotFound(expanded) || absl::IsInvalidArgument(expanded),
       "cells or what is wrong: " + expanded.ToString());
}

void MustBeReadable(const absl::Status& refusal) {
  Must(absl::IsInvalidArgument(refusal), "a refusal is the file's fault");
  Must(!refusal.message().empty() && refusal.message().size() < 200'000,
       "a refusal fits on a screen or some");
  Must(std::all_of(refusal.message().begin(), refusal.message().end(),
                   [](char c) { return c == '\n' || !absl::ascii_iscntrl(c); }),
       "a refusal has no control characters");
}

}  // namespace bitquake
