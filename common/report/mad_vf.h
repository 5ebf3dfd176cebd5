// Whether heads that attend far are the fragile ones: rank correlation of mean attention distance
// (MAD) with the vulnerability factor.
#pragma once

#include <string>
#include <vector>

#include "common/report/figure_table.h"
#include "common/report/results.h"
#include "common/stats/rank.h"

namespace bitquake {

// The attention distance without faults of the head that a cell hits, summed over golden's images.
// Null if that was not measured, or the target is no head.
const HeadDistance* GoldenDistance(const CellResult& cell);

// Over the heads of a model in a format, at one rate.
struct MadVfCorrelation {
  CellKey key;                // its `target` is what the heads have in common: "blocks.*.attn.h*"
  bool renormalised = false;  // which of the two distances
  RankCorrelation correlation;
};

// Of each model, format, fault and rate with cells of heads, where attention distance was measured
// without faults; q, k, v of heads apart, and bit positions apart. First with the distance as it
// is, then with the renormalised one. Heads whose vf is undefined are left out.
std::vector<MadVfCorrelation> CorrelateMadWithVf(const std::vector<CellResult>& cells,
                                                 const Derivation& derivation);

// mad_vf.csv: a row for each. `mad` is "as_is" or "renormalised", `heads` how many went in, `rho`
// Spearman's, with its interval and two-sided p (common/stats/rank.h says by which formulas);
// empty for fewer than three heads, or where all are alike.
FigureTable MadVfFigures(const std::vector<MadVfCorrelation>& correlations);

// The same for a terminal; empty without correlations.
std::string MadVfTable(const std::vector<MadVfCorrelation>& correlations);

}  // namespace bitquake
