// What a campaign will take, and how precise it will be: as far as that can be known before any of
// it has run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/campaign_file.h"
#include "client/cli/earlier_run.h"

namespace bitquake {

// From the least, where nothing ever breaks or differs, to the most.
struct CountRange {
  int64_t least = 0;
  int64_t most = 0;
};

struct Forecast {
  CountRange cells;
  int64_t typical_cells = 0;  // of targets that break in the middle of a search's grid
  CountRange trials;          // over all cells
  // Those below are known only where the number of images is.
  int64_t images = 0;            // that the campaign uses of its data set; 0: unknown
  int64_t images_per_trial = 0;  // on the average
  CountRange inferences;         // those without faults included; dedup is not counted
  // Ten trials on all images in each cell (of a search: at each rate of its grid), and golden.
  int64_t full_repeats = 0;
};

// `cells` are those of the models that are on this machine; `images` of the data set, if known.
Forecast MakeForecast(const Campaign& campaign, const CellCount& cells, int models,
                      std::optional<int64_t> images);

// For people: lines with two spaces at the front. `earlier` may be null.
std::string ForecastText(const Campaign& campaign, const Forecast& forecast,
                         const EarlierRun* earlier);

}  // namespace bitquake
