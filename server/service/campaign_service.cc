#include "server/service/campaign_service.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/base/build_info.h"
#include "common/base/status_macros.h"
#include "common/campaign/campaign.h"
#include "server/service/results_reactor.h"
#include "server/service/standing.h"
#include "server/service/translate.h"
#include "server/store/snapshot.h"
#include "server/store/trial_reader.h"

namespace bitquake {
namespace {

// Sends the newest state; states that were overtaken while a write was under way are left out.
class WatchReactor final : public grpc::ServerWriteReactor<v1::CampaignStatus> {
 public:
  WatchReactor(Coordinator* coordinator, const std::string& campaign, Standing standing)
      : coordinator_(coordinator), standing_(standing) {
    auto shared = shared_;
    shared->reactor = this;
    const int64_t number =
        coordinator_->Watch(campaign, [shared](absl::StatusOr<CampaignSnapshot> snapshot) {
          absl::MutexLock lock(&shared->mutex);
          if (shared->reactor != nullptr) {
            shared->reactor->Take(std::move(snapshot));
          }
        });
    number_ = number;
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&shared_->mutex);
    writing_ = false;
    if (!ok) {
      End(grpc::Status(grpc::StatusCode::CANCELLED, "the watcher went away"));
      return;
    }
    Continue();
  }

  void OnCancel() override {
    absl::MutexLock lock(&shared_->mutex);
    if (!writing_) {
      End(grpc::Status(grpc::StatusCode::CANCELLED, "the watcher went away"));
    }
  }

  void OnDone() override {
    {
      absl::MutexLock lock(&shared_->mutex);
      shared_->reactor = nullptr;
    }
    coordinator_->Unwatch(number_);
    delete this;
  }

 private:
  // What the coordinator's callback may touch after the call has ended.
  struct Shared {
    absl::Mutex mutex;
    WatchReactor* reactor = nullptr;
  };

  // These three with the mutex held.
  void Take(absl::StatusOr<CampaignSnapshot> snapshot) {
    if (!snapshot.ok()) {
      error_ = snapshot.status();
    } else {
      next_ = ToProto(*snapshot);
      last_ = snapshot->ended();
    }
    if (!writing_) {
      Continue();
    }
  }

  void Continue() {
    if (ended_) {
      return;
    }
    if (next_.has_value()) {
      const absl::Status standing = standing_.Check();
      if (!standing.ok()) {
        End(ToGrpc(standing));
        return;
      }
      message_ = *std::exchange(next_, std::nullopt);
      writing_ = true;
      StartWrite(&message_);
    } else if (!error_.ok()) {
      End(ToGrpc(error_));
    } else if (last_) {
      End(grpc::Status::OK);
    }
  }

  void End(const grpc::Status& status) {
    if (!std::exchange(ended_, true)) {
      Finish(status);
    }
  }

  Coordinator* const coordinator_;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  Standing standing_;
  std::atomic<int64_t> number_{0};
  std::optional<v1::CampaignStatus> next_;
  v1::CampaignStatus message_;
  absl::Status error_;
  bool last_ = false;
  bool writing_ = false;
  bool ended_ = false;
};

absl::StatusOr<TrialRecord> FindTrial(const std::string& database,
                                      const v1::GetTrialRequest& request) {
  const SystemClock clock;
  ASSIGN_OR_RETURN(Snapshot snapshot, Snapshot::Open(database, &clock));
  ASSIGN_OR_RETURN(TrialRecord record, ReadTrial(snapshot.db(), request.campaign_id(),
                                                 request.cell(), request.trial()));
  ASSIGN_OR_RETURN(const Campaign campaign,
                   ParseCampaign(record.setup.resolved_json, request.campaign_id()));
  if (request.trial() >= static_cast<uint32_t>(campaign.trials.max)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no trial ", request.trial(), "; trials of a cell are 0 to ", campaign.trials.max - 1));
  }
  return record;
}

// Answers at once with an error.
template <typename Message>
class ErrorReactor final : public grpc::ServerWriteReactor<Message> {
 public:
  explicit ErrorReactor(const absl::Status& status) { this->Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

absl::StatusOr<Campaign> CampaignService::ParseSubmitted(const grpc::CallbackServerContext& context,
                                                         const std::string& file,
                                                         const std::string& file_name) {
  RETURN_IF_ERROR(files_.Admit(HostOfPeer(context.peer())));
  const std::string name = file_name.empty() ? "campaign" : file_name;
  ASSIGN_OR_RETURN(Campaign campaign, ParseCampaign(file, name));
  // A submitted campaign is data: its names stay below the workers' roots.
  for (const std::string& model : campaign.models) {
    RETURN_IF_ERROR(CheckPlainName(model));
  }
  RETURN_IF_ERROR(CheckPlainName(campaign.dataset));
  return campaign;
}

grpc::ServerUnaryReactor* CampaignService::Submit(grpc::CallbackServerContext* context,
                                                  const v1::SubmitRequest* request,
                                                  v1::SubmitResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<Campaign> campaign =
      ParseSubmitted(*context, request->file(), request->file_name());
  if (campaign.ok() && request->request_id().empty()) {
    campaign = absl::InvalidArgumentError("request_id is empty");
  }
  if (!campaign.ok()) {
    reactor->Finish(ToGrpc(campaign.status()));
    return reactor;
  }
  coordinator_->Submit(*std::move(campaign), request->request_id(),
                       [reactor, response](absl::StatusOr<std::string> id) {
                         if (id.ok()) {
                           response->set_campaign_id(*id);
                         }
                         reactor->Finish(ToGrpc(id.status()));
                       });
  return reactor;
}

grpc::ServerUnaryReactor* CampaignService::Validate(grpc::CallbackServerContext* context,
                                                    const v1::ValidateRequest* request,
                                                    v1::ValidateResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<Campaign> campaign =
      ParseSubmitted(*context, request->file(), request->file_name());
  if (campaign.ok()) {
    response->set_resolved_json(ToJson(*campaign));
  }
  reactor->Finish(ToGrpc(campaign.status()));
  return reactor;
}

grpc::ServerUnaryReactor* CampaignService::GetCampaign(grpc::CallbackServerContext* context,
                                                       const v1::GetCampaignRequest* request,
                                                       v1::CampaignStatus* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->GetCampaign(request->campaign_id(),
                            [reactor, response](absl::StatusOr<CampaignSnapshot> snapshot) {
                              if (snapshot.ok()) {
                                *response = ToProto(*snapshot);
                              }
                              reactor->Finish(ToGrpc(snapshot.status()));
                            });
  return reactor;
}

grpc::ServerUnaryReactor* CampaignService::ListCampaigns(grpc::CallbackServerContext* context,
                                                         const v1::ListCampaignsRequest* request,
                                                         v1::ListCampaignsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  int64_t before = 0;
  if (!request->page_token().empty() && !absl::SimpleAtoi(request->page_token(), &before)) {
    reactor->Finish(ToGrpc(absl::InvalidArgumentError("page_token is not one of this server's")));
    return reactor;
  }
  constexpr int kDefaultPage = 100;
  constexpr int kLargestPage = 1000;
  const int limit =
      request->page_size() <= 0 ? kDefaultPage : std::min(request->page_size(), kLargestPage);
  coordinator_->ListCampaigns(before, limit,
                              [reactor, response](absl::StatusOr<Coordinator::Page> page) {
                                if (page.ok()) {
                                  for (const CampaignSnapshot& snapshot : page->campaigns) {
                                    *response->add_campaigns() = ToProto(snapshot);
                                  }
                                  if (page->next_before > 0) {
                                    response->set_next_page_token(absl::StrCat(page->next_before));
                                  }
                                }
                                reactor->Finish(ToGrpc(page.status()));
                              });
  return reactor;
}

grpc::ServerWriteReactor<v1::CampaignStatus>* CampaignService::WatchCampaign(
    grpc::CallbackServerContext* context, const v1::WatchCampaignRequest* request) {
  return new WatchReactor(coordinator_, request->campaign_id(),
                          Standing(access_, "/bitquake.v1.CampaignService/WatchCampaign", context));
}

grpc::ServerWriteReactor<v1::ResultBatch>* CampaignService::StreamResults(
    grpc::CallbackServerContext*, const v1::StreamResultsRequest* request) {
  absl::Notification done;
  absl::StatusOr<CampaignSnapshot> snapshot;
  coordinator_->GetCampaign(request->campaign_id(), [&](absl::StatusOr<CampaignSnapshot> found) {
    snapshot = std::move(found);
    done.Notify();
  });
  done.WaitForNotification();
  if (!snapshot.ok()) {
    return new ErrorReactor<v1::ResultBatch>(snapshot.status());
  }
  std::shared_ptr<void> place(nullptr, [this](void*) { --readers_; });
  if (++readers_ > kMostReaders) {
    return new ErrorReactor<v1::ResultBatch>(absl::UnavailableError(
        absl::StrCat("more than ", kMostReaders, " read results now; try again in a moment")));
  }
  return new ResultsReactor(database_, *std::move(snapshot), request->details(), std::move(place));
}

grpc::ServerUnaryReactor* CampaignService::GetTrial(grpc::CallbackServerContext* context,
                                                    const v1::GetTrialRequest* request,
                                                    v1::TrialRecord* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<TrialRecord> record = FindTrial(database_, *request);
  if (record.ok()) {
    *response = ToProto(*record);
  }
  reactor->Finish(ToGrpc(record.status()));
  return reactor;
}

grpc::ServerUnaryReactor* CampaignService::Control(grpc::CallbackServerContext* context,
                                                   const std::string& campaign,
                                                   Coordinator::Command command,
                                                   v1::CampaignStatus* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Control(campaign, command,
                        [reactor, response](absl::StatusOr<CampaignSnapshot> snapshot) {
                          if (snapshot.ok()) {
                            *response = ToProto(*snapshot);
                          }
                          reactor->Finish(ToGrpc(snapshot.status()));
                        });
  return reactor;
}

grpc::ServerUnaryReactor* CampaignService::PauseCampaign(grpc::CallbackServerContext* context,
                                                         const v1::PauseCampaignRequest* request,
                                                         v1::CampaignStatus* response) {
  return Control(context, request->campaign_id(), Coordinator::Command::kPause, response);
}

grpc::ServerUnaryReactor* CampaignService::ResumeCampaign(grpc::CallbackServerContext* context,
                                                          const v1::ResumeCampaignRequest* request,
                                                          v1::CampaignStatus* response) {
  return Control(context, request->campaign_id(), Coordinator::Command::kResume, response);
}

grpc::ServerUnaryReactor* CampaignService::CancelCampaign(grpc::CallbackServerContext* context,
                                                          const v1::CancelCampaignRequest* request,
                                                          v1::CampaignStatus* response) {
  return Control(context, request->campaign_id(), Coordinator::Command::kCancel, response);
}

grpc::ServerUnaryReactor* CampaignService::ListWorkers(grpc::CallbackServerContext* context,
                                                       const v1::ListWorkersRequest*,
                                                       v1::ListWorkersResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->ListWorkers(
      [reactor, response](absl::StatusOr<std::vector<WorkerSnapshot>> workers) {
        if (workers.ok()) {
          for (const WorkerSnapshot& worker : *workers) {
            *response->add_workers() = ToProto(worker);
          }
          response->set_server_unix_ms(absl::ToUnixMillis(absl::Now()));
          response->set_server_version(kVersion);
        }
        reactor->Finish(ToGrpc(workers.status()));
      });
  return reactor;
}

}  // namespace bitquake
