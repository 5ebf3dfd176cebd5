#include "common/report/mad_vf.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/shown.h"
#include "common/report/fragility.h"
#include "common/report/siblings.h"
#include "common/report/terminal_table.h"

namespace bitquake {
namespace {

// The figures of the heads that are compared, side by side.
struct Heads {
  CellKey key;
  std::vector<double> vf;
  std::vector<double> mad;
  std::vector<double> renormalised;
};

std::vector<Heads> HeadsOf(const std::vector<CellResult>& cells, const Derivation& derivation) {
  const std::vector<Fragility> fragilities = EstimateFragility(cells, derivation);
  std::vector<Heads> groups;
  std::map<std::string, size_t> known;
  for (size_t i = 0; i < cells.size(); ++i) {
    const CellResult& cell = cells[i];
    const HeadDistance* distance = GoldenDistance(cell);
    if (cell.trials.empty() || distance == nullptr) {
      continue;
    }
    CellKey key = cell.key;
    key.target = HeadPattern(key.target);
    const auto [at, is_new] =
        known.emplace(absl::StrCat(RankingGroup(cell.key), "\n", key.target), groups.size());
    if (is_new) {
      groups.push_back({key, {}, {}, {}});
    }
    Heads& heads = groups[at->second];
    const auto images = static_cast<double>(cell.golden.images);
    heads.vf.push_back(fragilities[i].vf.value);
    heads.mad.push_back(distance->mad / images);
    heads.renormalised.push_back(distance->renormalised / images);
  }
  return groups;
}

}  // namespace

const HeadDistance* GoldenDistance(const CellResult& cell) {
  if (cell.key.granularity != "head") {
    return nullptr;
  }
  const AttentionDistances& distances = cell.golden.attention;
  const HeadPlace place = FindHead(cell.key.target);
  if (place.block < 0 || place.head < 0 || place.head >= distances.heads) {
    return nullptr;
  }
  const auto index = static_cast<size_t>(place.block) * distances.heads + place.head;
  return index < distances.sums.size() ? &distances.sums[index] : nullptr;
}

std::vector<MadVfCorrelation> CorrelateMadWithVf(const std::vector<CellResult>& cells,
                                                 const Derivation& derivation) {
  const bool measured = std::any_of(cells.begin(), cells.end(), [](const CellResult& cell) {
    return GoldenDistance(cell) != nullptr;
  });
  if (!measured) {
    return {};  // VF takes its time
  }
  std::vector<MadVfCorrelation> correlations;
  for (const Heads& heads : HeadsOf(cells, derivation)) {
    correlations.push_back(
        {heads.key, false, SpearmanCorrelation(heads.mad, heads.vf, derivation.confidence)});
    correlations.push_back(
        {heads.key, true,
         SpearmanCorrelation(heads.renormalised, heads.vf, derivation.confidence)});
  }
  return correlations;
}

FigureTable MadVfFigures(const std::vector<MadVfCorrelation>& correlations) {
  FigureTable table;
  table.columns = {"campaign", "model", "format", "fault",  "granularity", "target", "ber",
                   "mad",      "heads", "rho",    "ci_low", "ci_high",     "p_value"};
  for (const MadVfCorrelation& of : correlations) {
    const CellKey& key = of.key;
    const RankCorrelation& c = of.correlation;
    table.rows.push_back({key.campaign, key.model, key.format, key.fault, key.granularity,
                          key.target, key.ber, of.renormalised ? "renormalised" : "as_is", c.n,
                          c.rho, c.interval.low, c.interval.high, c.p_value});
  }
  return table;
}

std::string MadVfTable(const std::vector<MadVfCorrelation>& correlations) {
  std::vector<std::vector<std::string>> rows = {
      {"model", "format", "target", "MAD", "BER", "heads", "rho", "interval", "p"}};
  for (const MadVfCorrelation& of : correlations) {
    const RankCorrelation& c = of.correlation;
    rows.push_back({Printable(of.key.model), Printable(of.key.format), Printable(of.key.target),
                    of.renormalised ? "renormalised" : "as is", absl::StrFormat("%.2e", of.key.ber),
                    absl::StrCat(c.n), Fixed(c.rho), FixedInterval(c.interval.low, c.interval.high),
                    c.p_value == c.p_value ? absl::StrFormat("%.2g", c.p_value) : "-"});
  }
  return rows.size() == 1
             ? ""
             : absl::StrCat(
                   "Attention distance (MAD) against VF, Spearman's rank correlation over "
                   "heads:\n",
                   Aligned(rows, /*text_columns=*/4));
}

}  // namespace bitquake
