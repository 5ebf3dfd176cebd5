#include "client/api/client.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "bitquake/v1/campaign.grpc.pb.h"
#include "client/api/translate.h"
#include "common/base/await.h"
#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/process.h"
#include "common/base/status_macros.h"
#include "common/channel/channel.h"

namespace bitquake {
namespace {

constexpr absl::Duration kCallTime = absl::Seconds(30);

}  // namespace

struct Client::Impl {
  std::string address;
  ClientOptions options;
  absl::Status settings;  // an error: there is no stub
  std::unique_ptr<v1::CampaignService::Stub> stub;
  absl::Mutex mutex;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  grpc::ClientContext* watching ABSL_GUARDED_BY(mutex) = nullptr;

  absl::Status FromGrpc(const grpc::Status& status) const {
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
        status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      return absl::UnavailableError(absl::StrCat("cannot reach the server at ", address, " (",
                                                 status.error_message(), "); ",
                                                 UnavailableRemedy(status.error_message())));
    }
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }

  // Sleeps unless stopped; false if stopped.
  bool Pause(absl::Duration time) {
    absl::MutexLock lock(&mutex);
    return !AwaitFor(mutex, absl::Condition(&stopped), time);
  }

  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (v1::CampaignService::Stub::*method)(grpc::ClientContext*,
                                                                      const Request&, Response*),
                    const Request& request, Response* response) {
    return Patiently([&] {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() +
                           absl::ToChronoMilliseconds(kCallTime));
      return FromGrpc((stub.get()->*method)(&context, request, response));
    });
  }

  // Calls again while the server is away, up to the patience of the options.
  absl::Status Patiently(const std::function<absl::Status()>& call) {
    RETURN_IF_ERROR(settings);
    const SystemClock clock;
    const absl::Duration give_up = clock.Monotonic() + options.patience;
    Backoff backoff({}, RandomNumber());
    for (;;) {
      const absl::Status status = call();
      const absl::Duration wait = backoff.Next();
      if (!absl::IsUnavailable(status) || clock.Monotonic() + wait > give_up || !Pause(wait)) {
        return status;
      }
    }
  }
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

std::unique_ptr<Client> Client::Connect(const ConnectionOptions& connection,
                                        ClientOptions options) {
  auto impl = std::make_unique<Impl>();
  impl->address = connection.address;
  impl->options = options;
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = OpenChannel(connection);
  if (channel.ok()) {
    impl->stub = v1::CampaignService::NewStub(*channel);
  }
  impl->settings = channel.status();
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

std::unique_ptr<Client> Client::Connect(const std::string& address, ClientOptions options) {
  ConnectionOptions connection;
  connection.address = address;
  return Connect(connection, options);
}

absl::StatusOr<std::string> Client::Submit(const std::string& file, const std::string& file_name,
                                           const std::string& request_id) {
  v1::SubmitRequest request;
  request.set_file(file);
  request.set_file_name(file_name);
  request.set_request_id(request_id.empty() ? RandomHex() + RandomHex() : request_id);
  v1::SubmitResponse response;
  RETURN_IF_ERROR(impl_->Call(&v1::CampaignService::Stub::Submit, request, &response));
  return response.campaign_id();
}

absl::StatusOr<CampaignStatus> Client::Get(const std::string& id) {
  v1::GetCampaignRequest request;
  request.set_campaign_id(id);
  v1::CampaignStatus response;
  RETURN_IF_ERROR(impl_->Call(&v1::CampaignService::Stub::GetCampaign, request, &response));
  return FromProto(response);
}

absl::StatusOr<std::vector<CampaignStatus>> Client::List() {
  std::vector<CampaignStatus> campaigns;
  v1::ListCampaignsRequest request;
  do {
    v1::ListCampaignsResponse response;
    RETURN_IF_ERROR(impl_->Call(&v1::CampaignService::Stub::ListCampaigns, request, &response));
    for (const v1::CampaignStatus& campaign : response.campaigns()) {
      campaigns.push_back(FromProto(campaign));
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return campaigns;
}

absl::StatusOr<CampaignStatus> Client::Pause(const std::string& id) {
  v1::PauseCampaignRequest request;
  request.set_campaign_id(id);
  v1::CampaignStatus response;
  RETURN_IF_ERROR(impl_->Call(&v1::CampaignService::Stub::PauseCampaign, request, &response));
  return FromProto(response);
}

absl::StatusOr<CampaignStatus> Client::Resume(const std::string& id) {
  v1::ResumeCampaignRequest request;
  request.set_campaign_id(id);
  v1::CampaignStatus response;
  RETURN_IF_ERROR(impl_->Call(&v1::CampaignService::Stub::ResumeCampaign, request, &response));
  return FromProto(response);
}

absl::StatusOr<CampaignStatus> Client::Cancel(const std::string& id) {
  v1::CancelCampaignRequest request;
  request.set_campaign_id(id);
  v1::CampaignStatus response;
  RETURN_IF_ERROR(impl_->Call(&v1::CampaignService::Stub::CancelCampaign, request, &response));
  return FromProto(response);
}

absl::StatusOr<std::vector<WorkerStatus>> Client::Workers() {
  v1::ListWorkersResponse response;
  RETURN_IF_ERROR(
      impl_->Call(&v1::CampaignService::Stub::ListWorkers, v1::ListWorkersRequest(), &response));
  std::vector<WorkerStatus> workers;
  for (const v1::WorkerInfo& worker : response.workers()) {
    workers.push_back({worker.worker_id(), worker.host(), worker.device_kind(), worker.version(),
                       worker.live(), worker.leased_jobs(), worker.state(), worker.error()});
  }
  return workers;
}

absl::StatusOr<ServerStatus> Client::Server() {
  const absl::Time before = absl::Now();
  v1::ListWorkersResponse response;
  RETURN_IF_ERROR(
      impl_->Call(&v1::CampaignService::Stub::ListWorkers, v1::ListWorkersRequest(), &response));
  ServerStatus server;
  server.round_trip = absl::Now() - before;
  server.version = response.server_version();
  server.clock_ahead =
      absl::FromUnixMillis(response.server_unix_ms()) - (before + server.round_trip / 2);
  for (const v1::WorkerInfo& worker : response.workers()) {
    server.workers += worker.live() ? 1 : 0;
  }
  return server;
}

absl::StatusOr<CampaignResults> Client::Results(const std::string& id, bool details) {
  v1::StreamResultsRequest request;
  request.set_campaign_id(id);
  request.set_details(details);
  CampaignResults results;
  RETURN_IF_ERROR(impl_->Patiently([&] {
    results = CampaignResults();
    grpc::ClientContext context;
    const auto stream = impl_->stub->StreamResults(&context, request);
    v1::ResultBatch batch;
    absl::Status taken;
    while (taken.ok() && stream->Read(&batch)) {
      taken = TakeBatch(batch, results);
    }
    if (!taken.ok()) {
      context.TryCancel();
      stream->Finish();
      return taken;
    }
    return impl_->FromGrpc(stream->Finish());
  }));
  RETURN_IF_ERROR(FillGoldens(results));
  return results;
}

absl::StatusOr<TrialRecord> Client::Trial(const std::string& id, int64_t cell, uint32_t trial) {
  v1::GetTrialRequest request;
  request.set_campaign_id(id);
  request.set_cell(cell);
  request.set_trial(trial);
  v1::TrialRecord response;
  RETURN_IF_ERROR(impl_->Call(&v1::CampaignService::Stub::GetTrial, request, &response));
  return FromProto(response, trial);
}

absl::Status Client::Watch(const std::string& id,
                           const std::function<void(const CampaignStatus&)>& changed,
                           const std::function<void()>& away) {
  v1::WatchCampaignRequest request;
  request.set_campaign_id(id);
  RETURN_IF_ERROR(impl_->settings);
  const SystemClock clock;
  bool is_away = false;    // the server is
  absl::Duration give_up;  // then: when
  // A person waits.
  Backoff backoff({absl::Milliseconds(100), absl::Seconds(3)}, RandomNumber());
  for (;;) {
    grpc::ClientContext context;
    {
      absl::MutexLock lock(&impl_->mutex);
      if (impl_->stopped) {
        return absl::CancelledError("stopped watching");
      }
      impl_->watching = &context;
    }
    const auto stream = impl_->stub->WatchCampaign(&context, request);
    v1::CampaignStatus message;
    bool ended = false;
    while (stream->Read(&message)) {
      is_away = false;
      backoff.Reset();
      const CampaignStatus now = FromProto(message);
      ended = now.ended();
      changed(now);
    }
    const absl::Status status = impl_->FromGrpc(stream->Finish());
    {
      absl::MutexLock lock(&impl_->mutex);
      impl_->watching = nullptr;
      if (impl_->stopped) {
        return absl::CancelledError("stopped watching");
      }
    }
    if (ended || (!status.ok() && !absl::IsUnavailable(status))) {
      return status;
    }
    if (!std::exchange(is_away, true)) {
      give_up = clock.Monotonic() + impl_->options.patience;
      away();
    }
    const absl::Duration wait = backoff.Next();
    if (clock.Monotonic() + wait > give_up) {
      return status;
    }
    impl_->Pause(wait);
  }
}

void Client::StopWatching() {
  absl::MutexLock lock(&impl_->mutex);
  impl_->stopped = true;
  if (impl_->watching != nullptr) {
    impl_->watching->TryCancel();
  }
}

}  // namespace bitquake
