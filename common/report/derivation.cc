#include <nlohmann/json.hpp>

#include "common/campaign/ber_grid.h"
#include "common/report/results.h"

namespace bitquake {

using Json = nlohmann::ordered_json;

Derivation DerivationOf(absl::string_view resolved_json) {
  const Json campaign = Json::parse(resolved_json);
  Derivation derivation;
  derivation.seed = campaign.at("seed");
  const auto trials = campaign.find("trials");
  if (trials != campaign.end() && trials->is_object()) {
    derivation.confidence = trials->at("confidence");
  }
  const auto ber = campaign.find("ber");
  if (ber != campaign.end() && ber->is_object() && ber->contains("search")) {
    const Json& search = ber->at("search");
    derivation.loss_limits = search.at("loss").get<std::vector<double>>();
    derivation.search_grid = LogGrid(search.at("from"), search.at("to"), search.at("per_decade"));
  }
  return derivation;
}

}  // namespace bitquake
