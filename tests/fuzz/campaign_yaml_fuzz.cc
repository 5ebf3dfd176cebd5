// A campaign file as a person writes it.
#include <string>

#include "common/campaign/campaign.h"
#include "tests/fuzz/campaign_checks.h"
#include "tests/fuzz/must.h"

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  const absl::StatusOr<Campaign> campaign =
      ParseCampaign(Text(data, size), "f", [](const std::string&) -> absl::StatusOr<std::string> {
        return "tensor,index,bit\nblocks.0.attn.qkv.weight,1027,7\npos_embed,0,1\n";
      });
  if (!campaign.ok()) {
    MustBeReadable(campaign.status());
    return 0;
  }
  MustSurviveJson(*campaign);
  Expand(*campaign, /*most_cells=*/20'000);
  return 0;
}
