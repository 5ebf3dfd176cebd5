// From the protocol's messages to the client's plain values.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bitquake/v1/campaign.pb.h"
#include "client/api/client.h"

namespace bitquake {

CampaignStatus FromProto(const v1::CampaignStatus& from);

// Errors: DataLoss for a bitmap that is not one of its fold.
absl::StatusOr<TrialRecord> FromProto(const v1::TrialRecord& from, uint32_t trial);

// Adds what a batch of StreamResults holds; batches come in their order. Errors: DataLoss if they
// do not fit each other, or count more images than there are.
absl::Status TakeBatch(const v1::ResultBatch& batch, CampaignResults& results);

// Gives each cell its golden, and the rule of its interval. Cells whose golden is not known on all
// images yet lose their trials: what they would add up to could not be stated.
absl::Status FillGoldens(CampaignResults& results);

}  // namespace bitquake
