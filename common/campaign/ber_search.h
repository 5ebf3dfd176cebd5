// `ber: {search: ...}`: the rates at which targets lose given amounts of accuracy are looked for,
// instead of measuring every rate of a grid.
#pragma once

#include <optional>
#include <vector>

#include "common/campaign/document.h"
#include "common/campaign/field_type.h"

namespace bitquake {

struct BerSearch {
  std::vector<double> losses;  // percentage points; ascending, distinct
  // The grid of rates (LogGrid) from which the search chooses; its step is the tolerance.
  double from = 0;
  double to = 0;
  int per_decade = 0;
};

// The rates that a campaign's `ber` may state: those of BerType, or a search.
FieldType CampaignBerType();

// Nothing if `ber`, which has passed the schema, is no search.
std::optional<BerSearch> SearchFromJson(const Json& ber);
Json ToJson(const BerSearch& search);

}  // namespace bitquake
