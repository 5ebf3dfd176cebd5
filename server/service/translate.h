// Between the protocol's messages and the coordinator's plain values, and between their errors.
#pragma once

#include "absl/status/status.h"
#include "bitquake/v1/campaign.pb.h"
#include "bitquake/v1/worker.pb.h"
#include "common/report/results.h"
#include "common/report/trial_record.h"
#include "grpcpp/support/status.h"
#include "server/scheduler/work.h"
#include "server/store/result_reader.h"

namespace bitquake {

grpc::Status ToGrpc(const absl::Status& status);

v1::CampaignStatus ToProto(const CampaignSnapshot& snapshot);
v1::WorkerInfo ToProto(const WorkerSnapshot& worker);
v1::CampaignInfo ToProto(const StoredCampaign& campaign);
v1::CellResult ToProto(const CellResult& cell);
v1::TrialRecord ToProto(const TrialRecord& record);
v1::TrialHeads ToProto(const StoredAttention& stored);
v1::FoldOutcome ToProto(const StoredFoldOutcome& outcome);
v1::Lease ToProto(const LeaseGrant& grant);

WorkerIdentity FromProto(const v1::RegisterRequest& request);
// Errors: InvalidArgument for a report without a body.
absl::StatusOr<Report> FromProto(const v1::OutcomeReport& report);

}  // namespace bitquake
