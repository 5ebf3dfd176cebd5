#include "common/campaign/ber_search.h"

#include <algorithm>
#include <utility>

#include "common/campaign/shared_types.h"

namespace bitquake {
namespace {

constexpr size_t kMaxLosses = 16;

}  // namespace

FieldType CampaignBerType() {
  const NumberType positive_rate{0, false, 1};
  MapType search;
  search.fields = {{"loss",
                    {ListType{"a list of losses", {{NumberType{0, false, 100}}}, kMaxLosses, true}},
                    "Mean losses of top-1 whose rate is looked for, in percentage points.",
                    true},
                   {"from", {positive_rate}, "The lowest rate of the grid.", false, 1e-9},
                   {"to", {positive_rate}, "The highest rate of the grid.", false, 1e-2},
                   PerDecadeField(/*default_value=*/10u)};
  MapType map;
  map.fields = {{"search",
                 {std::move(search), "", CheckGrid},
                 "Find for each target the rates at which its mean loss reaches limits, by "
                 "bisection on a grid; what is measured on the way are cells as any others.",
                 true}};
  FieldType type = BerType();
  std::get<OneOfType>(type.is).alternatives.push_back({std::move(map)});
  return type;
}

std::optional<BerSearch> SearchFromJson(const Json& ber) {
  if (!ber.is_object() || !ber.contains("search")) {
    return std::nullopt;
  }
  const Json& search = ber.at("search");
  BerSearch found = {search.at("loss").get<std::vector<double>>(), search.at("from").get<double>(),
                     search.at("to").get<double>(), search.at("per_decade").get<int>()};
  std::sort(found.losses.begin(), found.losses.end());
  return found;
}

Json ToJson(const BerSearch& search) {
  return {{"search",
           {{"loss", search.losses},
            {"from", search.from},
            {"to", search.to},
            {"per_decade", search.per_decade}}}};
}

}  // namespace bitquake
