// The most fragile targets, for a terminal. cells.csv has all ranks.
#pragma once

#include <string>
#include <vector>

#include "common/report/results.h"

namespace bitquake {

// Of each kind of target of each model, format and fault with two or more targets that are ranked
// together: the five that lose most, at the rate at which their losses differ most (at others all
// are whole, or all are broken). Empty without such targets.
std::string RankingTable(const std::vector<CellResult>& cells, const Derivation& derivation);

}  // namespace bitquake
