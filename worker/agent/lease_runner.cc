#include "worker/agent/lease_runner.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/campaign/campaign.h"
#include "worker/agent/trial_draw.h"

namespace bitquake {
namespace {

// Marks an error after which nothing that this process computes may be believed.
constexpr char kUntrusted[] = "bitquake/untrusted";

absl::Status Untrusted(absl::Status status) {
  if (absl::IsDataLoss(status)) {
    status.SetPayload(kUntrusted, absl::Cord("1"));
  }
  return status;
}

bool IsPermanent(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsInvalidArgument(status) ||
         absl::IsFailedPrecondition(status) || absl::IsUnimplemented(status) ||
         absl::IsPermissionDenied(status) || absl::IsDataLoss(status);
}

std::vector<int64_t> JobIds(const v1::Lease& lease) {
  std::vector<int64_t> ids;
  if (lease.has_probe()) {
    ids.push_back(lease.probe().job_id());
  }
  for (const v1::FoldJob& job : lease.golden().folds()) {
    ids.push_back(job.job_id());
  }
  for (const v1::TrialJob& job : lease.trials().jobs()) {
    ids.push_back(job.job_id());
  }
  return ids;
}

absl::Status CheckPinned(absl::string_view what, const std::string& found,
                         const std::string& pinned) {
  if (pinned.empty() || found == pinned) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      what, " on this worker has digest ", found.substr(0, 12), ", the campaign began with ",
      pinned.substr(0, 12), "; give all workers the same files"));
}

v1::AttentionDistances ToProto(const AttentionDistances& distances) {
  v1::AttentionDistances message;
  message.set_heads(distances.heads);
  for (const HeadDistance& head : distances.sums) {
    message.add_sums(head.mad);
    message.add_sums(head.renormalised);
  }
  return message;
}

void FillReport(const TrialOutcome& outcome, const std::string& faults_digest,
                const std::string& golden_digest, v1::TrialReport& report) {
  report.set_images(outcome.images);
  report.set_top1(outcome.top1);
  report.set_top5(outcome.top5);
  report.set_golden_top1(outcome.golden_top1);
  report.set_golden_top5(outcome.golden_top5);
  report.set_sdc(outcome.sdc);
  report.set_right_to_wrong(outcome.right_to_wrong);
  report.set_wrong_to_right(outcome.wrong_to_right);
  report.set_due(outcome.due);
  report.set_flips_wanted(outcome.flips_wanted);
  report.set_flips(outcome.flips);
  for (const int64_t flips : outcome.flips_per_bit) {
    report.add_flips_per_bit(flips);
  }
  report.set_faults_digest(faults_digest);
  report.set_golden_digest(golden_digest);
  report.set_outcome_digest(outcome.digest);
  report.set_inferences(outcome.inferences);
  report.set_seconds(outcome.seconds);
  report.set_correct(outcome.correct.bytes());
  report.set_same(outcome.same.bytes());
  if (!outcome.attention.sums.empty()) {
    *report.mutable_attention() = ToProto(outcome.attention);
  }
}

}  // namespace

// What is known of the trials of one fold by the digest of their faults. Fault sets nest over
// rates, so trials at two rates may have the same: then one is run, and the other has its outcome.
class LeaseRunner::KnownOutcomes {
 public:
  // True the first time.
  bool IsNew(const std::string& faults_digest) {
    return outcomes_.emplace(faults_digest, TrialOutcome()).second;
  }
  void Set(const std::string& faults_digest, TrialOutcome outcome) {
    outcomes_[faults_digest] = std::move(outcome);
  }
  // Of the job that was run it says what it took; of others, that nothing was run.
  TrialOutcome Of(const std::string& faults_digest, int64_t job) const {
    TrialOutcome outcome = outcomes_.at(faults_digest);
    if (outcome.id != job) {
      outcome.id = job;
      outcome.inferences = 0;
      outcome.seconds = 0;
    }
    return outcome;
  }

 private:
  std::map<std::string, TrialOutcome> outcomes_;
};

struct LeaseRunner::Bench {
  Campaign campaign;
  NumberFormat format;
  std::shared_ptr<const OpenModel> model;
  Surface surface;  // the campaign's, of the model
  std::shared_ptr<const OpenImages> images;
  Evaluator* evaluator = nullptr;
};

absl::Status LeaseRunner::Run(const v1::Lease& lease, const LeaseHooks& hooks) {
  LeaseHooks counted = hooks;
  counted.report = [&](v1::OutcomeReport message) {
    message.set_lease_id(lease.lease_id());
    message.set_campaign_id(lease.campaign().campaign_id());
    hooks.report(std::move(message));
  };
  counted.begin({});
  absl::Status status;
  if (lease.has_probe()) {
    status = RunProbe(lease, counted);
  } else if (lease.has_golden()) {
    status = RunGolden(lease, counted);
  } else {
    status = RunTrials(lease, counted);
  }
  const bool untrusted = status.GetPayload(kUntrusted).has_value();
  const bool device_lost = absl::IsAborted(status);
  if (absl::IsCancelled(status) || (!status.ok() && !untrusted && !device_lost && hooks.leave())) {
    return absl::CancelledError("the lease was left");
  }
  if (absl::IsResourceExhausted(status)) {
    workbench_->DropEvaluators();  // the next attempt has all of the memory
  }
  if (!status.ok() && !device_lost) {
    v1::OutcomeReport message;
    v1::FailureReport* failure = message.mutable_failure();
    // Jobs that were reported before are done; the coordinator passes over them.
    for (const int64_t id : JobIds(lease)) {
      failure->add_job_ids(id);
    }
    failure->set_error(std::string(status.message()));
    failure->set_permanent(IsPermanent(status));
    failure->set_untrusted(untrusted);
    if (untrusted) {
      workbench_->figures().CountFailedProof();
      workbench_->DropEvaluators();
    }
    counted.report(std::move(message));
  }
  v1::OutcomeReport end;
  end.mutable_lease_end()->set_lost(device_lost);
  counted.report(std::move(end));
  return device_lost ? status : absl::OkStatus();
}

absl::StatusOr<LeaseRunner::Bench> LeaseRunner::PrepareModel(const v1::Lease& lease) {
  const v1::CampaignContext& context = lease.campaign();
  Bench bench;
  ASSIGN_OR_RETURN(bench.campaign, ParseCampaign(context.resolved_json(), context.campaign_id()));
  ASSIGN_OR_RETURN(bench.format, NumberFormat::FromName(lease.format()));
  ASSIGN_OR_RETURN(bench.model, workbench_->Model(lease.model()));
  RETURN_IF_ERROR(CheckPinned(absl::StrCat("model '", lease.model(), "'"), bench.model->digest,
                              context.model_digest()));
  ASSIGN_OR_RETURN(bench.surface,
                   MakeSurface(bench.model->snapshot.architecture, bench.model->snapshot.Tensors(),
                               bench.campaign.surface));
  return bench;
}

absl::Status LeaseRunner::PrepareEvaluator(const v1::Lease& lease, Bench& bench) {
  EvaluatorOptions options;
  options.surface = bench.surface;
  options.quantization = bench.campaign.quantization;
  options.format = bench.format;
  options.compute = bench.campaign.compute;
  options.chunk = lease.campaign().chunk();
  options.keep_images = bench.campaign.keep_images;
  using Measured = Campaign::AttentionDistance;
  options.golden_attention = bench.campaign.attention_distance != Measured::kNone;
  options.trial_attention = bench.campaign.attention_distance == Measured::kFaulty;
  ASSIGN_OR_RETURN(bench.evaluator,
                   workbench_->EvaluatorFor(lease.campaign().campaign_id(), *bench.model, options));
  return absl::OkStatus();
}

absl::StatusOr<LeaseRunner::Bench> LeaseRunner::Prepare(const v1::Lease& lease,
                                                        const LeaseHooks& hooks) {
  const StageTime load(&workbench_->figures(), Stage::kLoad);
  ASSIGN_OR_RETURN(Bench bench, PrepareModel(lease));
  ASSIGN_OR_RETURN(
      bench.images,
      workbench_->Images(bench.campaign, bench.model->snapshot.architecture.preprocessing,
                         hooks.leave));
  RETURN_IF_ERROR(CheckPinned(absl::StrCat("data set '", bench.campaign.dataset, "'"),
                              bench.images->digest, lease.campaign().data_digest()));
  RETURN_IF_ERROR(PrepareEvaluator(lease, bench));
  return bench;
}

absl::Status LeaseRunner::RunProbe(const v1::Lease& lease, const LeaseHooks& hooks) {
  hooks.begin({lease.probe().job_id()});
  const StageTime load(&workbench_->figures(), Stage::kLoad);
  const v1::CampaignContext& context = lease.campaign();
  ASSIGN_OR_RETURN(const Campaign campaign,
                   ParseCampaign(context.resolved_json(), context.campaign_id()));
  ASSIGN_OR_RETURN(const std::shared_ptr<const OpenModel> model, workbench_->Model(lease.model()));
  const Architecture& architecture = model->snapshot.architecture;
  ASSIGN_OR_RETURN(const std::shared_ptr<const OpenImages> images,
                   workbench_->Images(campaign, architecture.preprocessing, hooks.leave));
  const auto worst = std::max_element(images->labels.begin(), images->labels.end());
  if (*worst >= architecture.num_classes) {
    return absl::InvalidArgumentError(
        absl::StrCat("data set '", campaign.dataset, "' has label ", *worst, ", but model '",
                     lease.model(), "' has only ", architecture.num_classes, " classes"));
  }
  v1::OutcomeReport message;
  v1::ProbeReport* probe = message.mutable_probe();
  probe->set_job_id(lease.probe().job_id());
  probe->set_config_json(model->snapshot.config_json);
  for (const TensorInfo& tensor : model->snapshot.Tensors()) {
    v1::TensorShape* shape = probe->add_tensors();
    shape->set_name(tensor.name);
    for (const int64_t size : tensor.shape) {
      shape->add_shape(size);
    }
  }
  probe->set_model_digest(model->digest);
  probe->set_data_digest(images->digest);
  probe->set_images(static_cast<int64_t>(images->labels.size()));
  for (const std::vector<int64_t>& fold : images->folds) {
    probe->add_fold_sizes(static_cast<int>(fold.size()));
  }
  const auto largest =
      std::max_element(images->folds.begin(), images->folds.end(),
                       [](const auto& a, const auto& b) { return a.size() < b.size(); });
  ASSIGN_OR_RETURN(const int chunk, workbench_->Chunk(*model, static_cast<int>(largest->size())));
  probe->set_chunk(chunk);
  hooks.report(std::move(message));
  return absl::OkStatus();
}

absl::Status LeaseRunner::RunGolden(const v1::Lease& lease, const LeaseHooks& hooks) {
  // A model that brings the worker down may do so when it is loaded.
  if (lease.golden().folds_size() > 0) {
    hooks.begin({lease.golden().folds(0).job_id()});
  }
  ASSIGN_OR_RETURN(const Bench bench, Prepare(lease, hooks));
  const EvaluatorStages stages(&workbench_->figures(), bench.evaluator);
  for (const v1::FoldJob& job : lease.golden().folds()) {
    if (hooks.leave() || hooks.finish()) {
      return absl::CancelledError("the lease has ended");
    }
    hooks.begin({job.job_id()});
    ASSIGN_OR_RETURN(const FoldImages images, bench.images->Fold(job.fold()));
    const absl::Duration start = SystemClock().Monotonic();
    // A call without trials computes golden, and can be left between chunks.
    RETURN_IF_ERROR(Untrusted(bench.evaluator->Run(images, {}, hooks.leave).status()));
    const absl::StatusOr<GoldenOutcome> golden_or = bench.evaluator->Golden(images);
    RETURN_IF_ERROR(Untrusted(golden_or.status()));
    const GoldenOutcome& golden = *golden_or;
    const absl::Duration elapsed = SystemClock().Monotonic() - start;
    v1::OutcomeReport message;
    v1::GoldenReport* outcome = message.mutable_golden();
    outcome->set_job_id(job.job_id());
    outcome->set_images(static_cast<int64_t>(images.labels.size()));
    outcome->set_top1(golden.top1);
    outcome->set_top5(golden.top5);
    outcome->set_digest(golden.digest);
    outcome->set_seconds(absl::ToDoubleSeconds(elapsed));
    std::string predictions(golden.predictions.size() * sizeof(int32_t), '\0');
    std::memcpy(predictions.data(), golden.predictions.data(), predictions.size());
    outcome->set_predictions(std::move(predictions));
    if (bench.campaign.keep_images) {
      const std::vector<int64_t>& numbers = bench.images->folds[job.fold()];
      outcome->mutable_image_numbers()->Add(numbers.begin(), numbers.end());
      outcome->mutable_labels()->Add(images.labels.begin(), images.labels.end());
    }
    if (!golden.attention.sums.empty()) {
      *outcome->mutable_attention() = ToProto(golden.attention);
    }
    workbench_->figures().AddImages(outcome->images(), 0);
    hooks.report(std::move(message));
  }
  return absl::OkStatus();
}

absl::Status LeaseRunner::RunTrials(const v1::Lease& lease, const LeaseHooks& hooks) {
  ASSIGN_OR_RETURN(const Bench bench, Prepare(lease, hooks));
  ASSIGN_OR_RETURN(TrialDraw draw,
                   TrialDraw::Make(bench.campaign, bench.surface, bench.format, lease.trials()));
  TrialBatches batches(&draw, &bench.evaluator->golden_words(), &bench.surface, &lease.trials(),
                       workbench_->threads(), lease.one_by_one());
  KnownOutcomes known;
  int known_fold = -1;
  for (;;) {
    if (hooks.leave() || hooks.finish()) {
      return absl::CancelledError("the lease has ended");
    }
    absl::StatusOr<std::optional<TrialBatch>> batch;
    {
      const StageTime inject(&workbench_->figures(), Stage::kInject);
      batch = batches.Next();
    }
    RETURN_IF_ERROR(batch.status());
    if (!batch->has_value()) {
      return absl::OkStatus();
    }
    const int fold = (*batch)->fold;
    if (std::exchange(known_fold, fold) != fold) {
      known = KnownOutcomes();
    }
    RETURN_IF_ERROR(RunBatch(bench, **batch, hooks, known));
  }
}

absl::Status LeaseRunner::RunBatch(const Bench& bench, const TrialBatch& batch,
                                   const LeaseHooks& hooks, KnownOutcomes& known) {
  ASSIGN_OR_RETURN(const FoldImages images, bench.images->Fold(batch.fold));
  const EvaluatorStages stages(&workbench_->figures(), bench.evaluator);
  std::vector<TrialRequest> requests;
  std::vector<const TrialBatch::Trial*> run;
  for (const TrialBatch::Trial& trial : batch.trials) {
    if (known.IsNew(trial.digest)) {
      run.push_back(&trial);
      requests.push_back({trial.job->job_id(), &trial.faults});
    }
  }
  std::vector<int64_t> begun;
  for (const TrialRequest& request : requests) {
    begun.push_back(request.id);
  }
  hooks.begin(begun);
  absl::StatusOr<std::vector<TrialOutcome>> outcomes =
      bench.evaluator->Run(images, requests, hooks.leave);
  if (!outcomes.ok()) {
    return Untrusted(Annotate(outcomes.status(), absl::StrCat("fold ", batch.fold)));
  }
  ASSIGN_OR_RETURN(const GoldenOutcome golden, bench.evaluator->Golden(images));
  const StageTime reporting(&workbench_->figures(), Stage::kReport);
  for (size_t i = 0; i < run.size(); ++i) {
    known.Set(run[i]->digest, std::move((*outcomes)[i]));
  }
  for (const TrialBatch::Trial& trial : batch.trials) {
    v1::OutcomeReport message;
    v1::TrialReport* reported = message.mutable_trial();
    reported->set_job_id(trial.job->job_id());
    FillReport(known.Of(trial.digest, trial.job->job_id()), trial.digest, golden.digest, *reported);
    workbench_->figures().AddImages(reported->images(), reported->inferences());
    hooks.report(std::move(message));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TrialFlips>> LeaseRunner::Flips(const v1::Lease& lease) {
  ASSIGN_OR_RETURN(Bench bench, PrepareModel(lease));
  RETURN_IF_ERROR(PrepareEvaluator(lease, bench));
  ASSIGN_OR_RETURN(TrialDraw draw,
                   TrialDraw::Make(bench.campaign, bench.surface, bench.format, lease.trials()));
  std::vector<TrialFlips> flips;
  for (const v1::TrialJob& job : lease.trials().jobs()) {
    ASSIGN_OR_RETURN(const FaultList drawn, draw.Faults(job, bench.evaluator->golden_words()));
    ASSIGN_OR_RETURN(FaultList real, bench.evaluator->RealFlips(drawn));
    flips.push_back({job.job_id(), bench.surface, std::move(real)});
  }
  return flips;
}

}  // namespace bitquake
