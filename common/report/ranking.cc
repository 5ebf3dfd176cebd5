#include "common/report/ranking.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/shown.h"
#include "common/report/cell_summary.h"
#include "common/report/siblings.h"
#include "common/report/terminal_table.h"

namespace bitquake {
namespace {

constexpr size_t kShown = 5;  // targets of a kind

using Ranked = std::vector<size_t>;  // indices of cells that are ranked together

// How far the mean losses of targets lie apart.
double Spread(const Ranked& ranked, const std::vector<CellSummary>& summaries) {
  std::vector<double> losses;
  for (const size_t i : ranked) {
    losses.push_back(summaries[i].loss_mean);
  }
  return StandardDeviation(losses);
}

// For each kind of target, those of the rate that tells them apart best; of equal ones the lowest.
std::vector<Ranked> RankedAtBestRates(const std::vector<CellResult>& cells,
                                      const std::vector<CellSummary>& summaries) {
  std::vector<std::string> kinds;  // in the order of the cells
  std::map<std::string, std::map<double, Ranked>> by_rate;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (summaries[i].fragility.ranked >= 2) {
      CellKey kind = cells[i].key;
      kind.ber = 0;
      const std::string name = RankingGroup(kind);
      if (by_rate.count(name) == 0) {
        kinds.push_back(name);
      }
      by_rate[name][cells[i].key.ber].push_back(i);
    }
  }
  std::vector<Ranked> best;
  for (const std::string& kind : kinds) {
    const std::map<double, Ranked>& rates = by_rate[kind];
    best.push_back(std::max_element(rates.begin(), rates.end(), [&](const auto& a, const auto& b) {
                     return Spread(a.second, summaries) < Spread(b.second, summaries);
                   })->second);
  }
  return best;
}

std::vector<std::string> ToRow(const CellResult& cell, const CellSummary& s) {
  const Fragility& f = s.fragility;
  const std::string ranks =
      std::isnan(f.ranks.low)
          ? "-"
          : absl::StrFormat("[%.0f, %.0f]", std::floor(f.ranks.low), std::ceil(f.ranks.high));
  return {Printable(cell.key.model),
          Printable(cell.key.format),
          Printable(cell.key.target),
          absl::StrFormat("%.2e", cell.key.ber),
          absl::StrCat(FormatNumber(f.rank), " of ", f.ranked),
          ranks,
          Fixed(s.loss_mean),
          Fixed(f.vf.value),
          FixedInterval(f.vf.interval.low, f.vf.interval.high),
          Fixed(f.loss_per_mbit)};
}

}  // namespace

std::string RankingTable(const std::vector<CellResult>& cells, const Derivation& derivation) {
  std::vector<CellSummary> summaries = Summarize(cells);
  AddFragility(cells, derivation, &summaries);
  std::vector<std::vector<std::string>> rows = {{"model", "format", "target", "BER", "rank",
                                                 "rank interval", "loss pp", "VF", "VF interval",
                                                 "pp a Mbit"}};
  for (Ranked ranked : RankedAtBestRates(cells, summaries)) {
    std::stable_sort(ranked.begin(), ranked.end(), [&](size_t a, size_t b) {
      return summaries[a].fragility.rank < summaries[b].fragility.rank;
    });
    ranked.resize(std::min(ranked.size(), kShown));
    for (const size_t i : ranked) {
      rows.push_back(ToRow(cells[i], summaries[i]));
    }
  }
  return rows.size() == 1
             ? ""
             : absl::StrCat("Most fragile targets:\n", Aligned(rows, /*text_columns=*/3));
}

}  // namespace bitquake
