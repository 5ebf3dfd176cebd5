#include "client/api/client.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "bitquake/v1/campaign.grpc.pb.h"
#include "common/base/backoff.h"
#include "common/base/process.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

constexpr absl::Duration kCallTime = absl::Seconds(30);

std::string StateText(v1::CampaignState state) {
  switch (state) {
    case v1::CAMPAIGN_STATE_PROBING:
      return "probing";
    case v1::CAMPAIGN_STATE_RUNNING:
      return "running";
    case v1::CAMPAIGN_STATE_PAUSED:
      return "paused";
    case v1::CAMPAIGN_STATE_DONE:
      return "done";
    case v1::CAMPAIGN_STATE_CANCELLED:
      return "cancelled";
    case v1::CAMPAIGN_STATE_FAILED:
      return "failed";
    default:
      return "unknown";
  }
}

CampaignStatus FromProto(const v1::CampaignStatus& from) {
  CampaignStatus status;
  status.id = from.campaign_id();
  status.name = from.name();
  status.state = StateText(from.state());
  status.error = from.error();
  status.jobs_total = from.jobs_total();
  status.jobs_done = from.jobs_done();
  status.jobs_poisoned = from.jobs_poisoned();
  status.jobs_leased = from.jobs_leased();
  status.images_done = from.images_done();
  status.images_per_second = from.images_per_second();
  status.eta_seconds = from.eta_seconds();
  status.workers = from.workers();
  status.cells = from.cells();
  if (from.has_worst_cell()) {
    const v1::WorstCell& worst = from.worst_cell();
    status.worst_cell = absl::StrCat(worst.model(), " ", worst.format(), " ", worst.target(),
                                     absl::StrFormat(" at %.2e", worst.ber()));
    status.worst_half_width = worst.half_width();
  }
  status.submitted_unix_ms = from.submitted_unix_ms();
  status.finished_unix_ms = from.finished_unix_ms();
  status.poison_errors.assign(from.poison_errors().begin(), from.poison_errors().end());
  return status;
}

CellResult FromProto(const v1::CellResult& from, const std::string& campaign) {
  CellResult cell;
  cell.key = {campaign,           from.model(),  from.format(), from.fault(),
              from.granularity(), from.target(), from.ber()};
  cell.bits = from.bits();
  for (const v1::TrialResult& trial : from.trials()) {
    cell.trials.push_back({trial.trial(), trial.images(), trial.top1(), trial.top5(),
                           trial.golden_top1(), trial.golden_top5(), trial.sdc(), trial.due(),
                           trial.flips(), trial.faults_digest()});
  }
  return cell;
}

void TakeInfo(const v1::CampaignInfo& info, CampaignResults& results) {
  results.status = FromProto(info.status());
  results.resolved_json = info.resolved_json();
  results.server_version = info.server_version();
  results.data_digest = info.data_digest();
  results.images = info.images();
  results.folds = info.folds();
  for (const v1::ModelInfo& model : info.models()) {
    results.models.push_back({model.model(), model.digest(), model.architecture(), model.chunk()});
  }
  for (const v1::GoldenResult& golden : info.goldens()) {
    results.goldens.push_back(
        {golden.model(), golden.format(), golden.images(), golden.top1(), golden.top5()});
  }
  results.device_kinds.assign(info.device_kinds().begin(), info.device_kinds().end());
}

// Gives each cell its golden. Cells whose golden is not known on all images yet lose their trials:
// what they would add up to could not be stated.
void FillGoldens(CampaignResults& results) {
  std::map<std::pair<std::string, std::string>, const GoldenResult*> by_variant;
  for (const GoldenResult& golden : results.goldens) {
    by_variant[{golden.model, golden.format}] = &golden;
  }
  for (CellResult& cell : results.cells) {
    const auto golden = by_variant.find({cell.key.model, cell.key.format});
    if (golden == by_variant.end()) {
      cell.trials.clear();
    } else {
      cell.golden = *golden->second;
    }
  }
}

}  // namespace

struct Client::Impl {
  std::string address;
  ClientOptions options;
  std::unique_ptr<v1::CampaignService::Stub> stub;
  absl::Mutex mutex;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  grpc::ClientContext* watching ABSL_GUARDED_BY(mutex) = nullptr;

  absl::Status FromGrpc(const grpc::Status& status) const {
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
        status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      return absl::UnavailableError(absl::StrCat("cannot reach the server at ", address, " (",
                                                 status.error_message(),
                                                 "); is it running? name another with --server"));
    }
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }

  // Sleeps unless stopped; false if stopped.
  bool Pause(absl::Duration time) {
    absl::MutexLock lock(&mutex);
    return !mutex.AwaitWithTimeout(absl::Condition(&stopped), time);
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
    const absl::Time give_up = absl::Now() + options.patience;
    Backoff backoff({}, RandomNumber());
    for (;;) {
      const absl::Status status = call();
      const absl::Duration wait = backoff.Next();
      if (!absl::IsUnavailable(status) || absl::Now() + wait > give_up || !Pause(wait)) {
        return status;
      }
    }
  }
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

std::unique_ptr<Client> Client::Connect(const std::string& address, ClientOptions options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  arguments.SetMaxReceiveMessageSize(256 << 20);
  auto impl = std::make_unique<Impl>();
  impl->address = address;
  impl->options = options;
  impl->stub = v1::CampaignService::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  return std::unique_ptr<Client>(new Client(std::move(impl)));
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

absl::StatusOr<CampaignResults> Client::Results(const std::string& id) {
  v1::StreamResultsRequest request;
  request.set_campaign_id(id);
  CampaignResults results;
  RETURN_IF_ERROR(impl_->Patiently([&] {
    results = CampaignResults();
    grpc::ClientContext context;
    const auto stream = impl_->stub->StreamResults(&context, request);
    v1::ResultBatch batch;
    while (stream->Read(&batch)) {
      if (batch.has_info()) {
        TakeInfo(batch.info(), results);
      }
      for (const v1::CellResult& cell : batch.cells().cells()) {
        results.cells.push_back(FromProto(cell, results.status.name));
      }
    }
    return impl_->FromGrpc(stream->Finish());
  }));
  FillGoldens(results);
  return results;
}

absl::Status Client::Watch(const std::string& id,
                           const std::function<void(const CampaignStatus&)>& changed,
                           const std::function<void()>& away) {
  v1::WatchCampaignRequest request;
  request.set_campaign_id(id);
  std::optional<absl::Time> give_up;  // set while the server is away
  Backoff backoff({}, RandomNumber());
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
      give_up.reset();
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
    if (!give_up.has_value()) {
      give_up = absl::Now() + impl_->options.patience;
      away();
    }
    const absl::Duration wait = backoff.Next();
    if (absl::Now() + wait > *give_up) {
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
