// CampaignService over gRPC (callback API): translates, checks limits, asks the coordinator.
#pragma once

#include <atomic>
#include <string>

#include "bitquake/v1/campaign.grpc.pb.h"
#include "common/base/clock.h"
#include "common/campaign/campaign.h"
#include "server/scheduler/coordinator.h"
#include "server/service/access.h"
#include "server/service/limits.h"
#include "server/service/rate_limit.h"

namespace bitquake {

class CampaignService final : public v1::CampaignService::CallbackService {
 public:
  // All but `database` must outlive the service; results are read from `database` on connections of
  // their own. `access` may be null: then everybody may do everything.
  CampaignService(Coordinator* coordinator, std::string database, const Clock* clock,
                  const Access* access)
      : coordinator_(coordinator),
        database_(std::move(database)),
        access_(access),
        files_(clock, kSubmitBurst, kSubmitsPerSecond) {}

  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* context,
                                   const v1::SubmitRequest* request,
                                   v1::SubmitResponse* response) override;
  grpc::ServerUnaryReactor* Validate(grpc::CallbackServerContext* context,
                                     const v1::ValidateRequest* request,
                                     v1::ValidateResponse* response) override;
  grpc::ServerUnaryReactor* GetCampaign(grpc::CallbackServerContext* context,
                                        const v1::GetCampaignRequest* request,
                                        v1::CampaignStatus* response) override;
  grpc::ServerUnaryReactor* ListCampaigns(grpc::CallbackServerContext* context,
                                          const v1::ListCampaignsRequest* request,
                                          v1::ListCampaignsResponse* response) override;
  grpc::ServerWriteReactor<v1::CampaignStatus>* WatchCampaign(
      grpc::CallbackServerContext* context, const v1::WatchCampaignRequest* request) override;
  grpc::ServerWriteReactor<v1::ResultBatch>* StreamResults(
      grpc::CallbackServerContext* context, const v1::StreamResultsRequest* request) override;
  grpc::ServerUnaryReactor* GetTrial(grpc::CallbackServerContext* context,
                                     const v1::GetTrialRequest* request,
                                     v1::TrialRecord* response) override;
  grpc::ServerUnaryReactor* PauseCampaign(grpc::CallbackServerContext* context,
                                          const v1::PauseCampaignRequest* request,
                                          v1::CampaignStatus* response) override;
  grpc::ServerUnaryReactor* ResumeCampaign(grpc::CallbackServerContext* context,
                                           const v1::ResumeCampaignRequest* request,
                                           v1::CampaignStatus* response) override;
  grpc::ServerUnaryReactor* CancelCampaign(grpc::CallbackServerContext* context,
                                           const v1::CancelCampaignRequest* request,
                                           v1::CampaignStatus* response) override;
  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context,
                                        const v1::ListWorkersRequest* request,
                                        v1::ListWorkersResponse* response) override;

 private:
  grpc::ServerUnaryReactor* Control(grpc::CallbackServerContext* context,
                                    const std::string& campaign, Coordinator::Command command,
                                    v1::CampaignStatus* response);

  // Parses a campaign file that a caller sent, unless its host sends too many.
  absl::StatusOr<Campaign> ParseSubmitted(const grpc::CallbackServerContext& context,
                                          const std::string& file, const std::string& file_name);

  Coordinator* const coordinator_;
  const std::string database_;
  std::atomic<int> readers_{0};
  const Access* const access_;
  RateLimit files_;
};

}  // namespace bitquake
