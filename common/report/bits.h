// What each bit position of a word is worth, of campaigns that hit positions apart (granularity
// `bit`, or `bits: each`).
#pragma once

#include <string>
#include <vector>

#include "common/report/figure_table.h"
#include "common/report/results.h"

namespace bitquake {

// bits.csv: a row for each cell whose target is one bit position of another, `target` being that
// other ("model", "blocks.3") and `bit` the position, 0 the least significant. By target and rate,
// then by position. `loss_mean` is in percentage points, `ci_low` and `ci_high` the interval of
// cells.csv; `loss_per_flip` is loss_mean / flips_mean, empty without flips; `share` is the loss in
// percent of the sum over the positions of that target, format and rate, empty where the sum is not
// positive (losses may be negative: so may shares).
FigureTable BitFigures(const std::vector<CellResult>& cells);

// The same for a terminal; empty without such cells.
std::string BitsTable(const std::vector<CellResult>& cells);

}  // namespace bitquake
