// A campaign as it travels between programs: JSON, which is YAML to our parser. What another JSON
// library reads and writes again must be the same campaign.
#include <nlohmann/json.hpp>

#include "common/campaign/campaign.h"
#include "tests/fuzz/campaign_checks.h"
#include "tests/fuzz/must.h"

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  const auto json =
      nlohmann::ordered_json::parse(data, data + size, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return -1;
  }
  const absl::StatusOr<Campaign> campaign = ParseCampaign(Text(data, size), "f");
  if (!campaign.ok()) {
    MustBeReadable(campaign.status());
    return 0;
  }
  MustSurviveJson(*campaign);
  const absl::StatusOr<Campaign> again = ParseCampaign(json.dump(), "again");
  Must(again.ok(), "JSON is read however it is laid out: " + again.status().ToString());
  Must(ToJson(*again) == ToJson(*campaign), "JSON says the same however it is laid out");
  return 0;
}
