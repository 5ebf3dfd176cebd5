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
#include "common/fault/fault_source.h"

namespace bitquake {
namespace {

// Fault lists held at a time: 16 bytes for each faulty word, and the engine's as many where bits
// are set.
constexpr int64_t kFaultyWordsTogether = int64_t{1} << 24;

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

void FillReport(const TrialOutcome& outcome, const FaultList& faults, const Surface& surface,
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
  report.set_faults_digest(faults.Digest(surface));
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

// Draws the faults of a lease's trials. What it is made of must outlive it.
class TrialDraw {
 public:
  // Errors: InvalidArgument for a cell that the campaign does not have, or a job of another cell.
  static absl::StatusOr<TrialDraw> Make(const Campaign& campaign, const Surface& surface,
                                        const NumberFormat& format, const v1::TrialWork& work) {
    TrialDraw draw(campaign, surface, format);
    for (const v1::CellSpec& cell : work.cells()) {
      RETURN_IF_ERROR(draw.AddCell(cell));
    }
    for (const v1::TrialJob& job : work.jobs()) {
      if (draw.cells_.count(job.cell_id()) == 0) {
        return absl::InvalidArgumentError(absl::StrCat("job ", job.job_id(), ": unknown cell"));
      }
    }
    return draw;
  }

  // `golden`: the words of the evaluator that will run the trial.
  absl::StatusOr<FaultList> Faults(const v1::TrialJob& job, const GoldenWords& golden) const {
    const v1::CellSpec& cell = *cells_.at(job.cell_id());
    return sources_.at(cell.fault())
        .Draw(targets_.at(cell.granularity_index()).at(cell.target()), campaign_.seed, job.trial(),
              cell.ber(), golden);
  }

 private:
  TrialDraw(const Campaign& campaign, const Surface& surface, const NumberFormat& format)
      : campaign_(campaign), surface_(surface), format_(format) {}

  absl::Status AddCell(const v1::CellSpec& cell) {
    cells_[cell.cell_id()] = &cell;
    const int index = cell.granularity_index();
    if (index < 0 || index >= static_cast<int>(campaign_.granularities.size())) {
      return absl::InvalidArgumentError(absl::StrCat("cell ", cell.cell_id(), ": granularity ",
                                                     index, " is not in the campaign"));
    }
    if (targets_.count(index) == 0) {
      ASSIGN_OR_RETURN(std::vector<Target> expanded,
                       ExpandTargets(surface_, campaign_.granularities[index], format_));
      for (Target& target : expanded) {
        targets_[index][target.name] = std::move(target);
      }
    }
    if (sources_.count(cell.fault()) == 0) {
      ASSIGN_OR_RETURN(const FaultModel* fault, FindFault(campaign_, cell.fault()));
      ASSIGN_OR_RETURN(FaultSource source, FaultSource::Make(surface_, *fault, format_));
      sources_.emplace(cell.fault(), std::move(source));
    }
    return targets_[index].count(cell.target()) > 0
               ? absl::OkStatus()
               : absl::InvalidArgumentError(
                     absl::StrCat("cell ", cell.cell_id(), ": no target '", cell.target(), "'"));
  }

  const Campaign& campaign_;
  const Surface& surface_;
  const NumberFormat& format_;
  std::map<int, std::map<std::string, Target>> targets_;  // by granularity, by name
  std::map<std::string, FaultSource> sources_;            // by label
  std::map<int64_t, const v1::CellSpec*> cells_;
};

}  // namespace

struct LeaseRunner::Bench {
  Campaign campaign;
  NumberFormat format;
  std::shared_ptr<const OpenModel> model;
  Surface surface;  // the campaign's, of the model
  std::shared_ptr<const OpenImages> images;
  Evaluator* evaluator = nullptr;
};

void LeaseRunner::Run(const v1::Lease& lease, const std::function<bool()>& cancelled,
                      const std::function<void(v1::OutcomeReport)>& report) {
  auto counted = [&](v1::OutcomeReport message) {
    message.set_lease_id(lease.lease_id());
    message.set_campaign_id(lease.campaign().campaign_id());
    report(std::move(message));
  };
  absl::Status status;
  if (lease.has_probe()) {
    status = RunProbe(lease, cancelled, counted);
  } else if (lease.has_golden()) {
    status = RunGolden(lease, cancelled, counted);
  } else {
    status = RunTrials(lease, cancelled, counted);
  }
  if (cancelled()) {
    return;
  }
  if (!status.ok()) {
    v1::OutcomeReport message;
    v1::FailureReport* failure = message.mutable_failure();
    // Jobs that were reported before are done; the coordinator passes over them.
    for (const int64_t id : JobIds(lease)) {
      failure->add_job_ids(id);
    }
    failure->set_error(std::string(status.message()));
    failure->set_permanent(IsPermanent(status));
    failure->set_untrusted(status.GetPayload(kUntrusted).has_value());
    if (failure->untrusted()) {
      workbench_->DropEvaluators();
    }
    counted(std::move(message));
  }
  v1::OutcomeReport end;
  end.mutable_lease_end();
  counted(std::move(end));
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
                                                        const std::function<bool()>& cancelled) {
  ASSIGN_OR_RETURN(Bench bench, PrepareModel(lease));
  ASSIGN_OR_RETURN(bench.images,
                   workbench_->Images(bench.campaign,
                                      bench.model->snapshot.architecture.preprocessing, cancelled));
  RETURN_IF_ERROR(CheckPinned(absl::StrCat("data set '", bench.campaign.dataset, "'"),
                              bench.images->digest, lease.campaign().data_digest()));
  RETURN_IF_ERROR(PrepareEvaluator(lease, bench));
  return bench;
}

absl::Status LeaseRunner::RunProbe(const v1::Lease& lease, const std::function<bool()>& cancelled,
                                   const std::function<void(v1::OutcomeReport)>& report) {
  const v1::CampaignContext& context = lease.campaign();
  ASSIGN_OR_RETURN(const Campaign campaign,
                   ParseCampaign(context.resolved_json(), context.campaign_id()));
  ASSIGN_OR_RETURN(const std::shared_ptr<const OpenModel> model, workbench_->Model(lease.model()));
  const Architecture& architecture = model->snapshot.architecture;
  ASSIGN_OR_RETURN(const std::shared_ptr<const OpenImages> images,
                   workbench_->Images(campaign, architecture.preprocessing, cancelled));
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
  probe->set_chunk(DefaultChunk(architecture));
  report(std::move(message));
  return absl::OkStatus();
}

absl::Status LeaseRunner::RunGolden(const v1::Lease& lease, const std::function<bool()>& cancelled,
                                    const std::function<void(v1::OutcomeReport)>& report) {
  ASSIGN_OR_RETURN(const Bench bench, Prepare(lease, cancelled));
  for (const v1::FoldJob& job : lease.golden().folds()) {
    if (cancelled()) {
      return absl::CancelledError("the lease has ended");
    }
    ASSIGN_OR_RETURN(const FoldImages images, bench.images->Fold(job.fold()));
    const absl::Duration start = SystemClock().Monotonic();
    ASSIGN_OR_RETURN(const GoldenOutcome golden, bench.evaluator->Golden(images));
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
    report(std::move(message));
  }
  return absl::OkStatus();
}

absl::Status LeaseRunner::RunTrials(const v1::Lease& lease, const std::function<bool()>& cancelled,
                                    const std::function<void(v1::OutcomeReport)>& report) {
  ASSIGN_OR_RETURN(const Bench bench, Prepare(lease, cancelled));
  ASSIGN_OR_RETURN(TrialDraw draw,
                   TrialDraw::Make(bench.campaign, bench.surface, bench.format, lease.trials()));
  std::map<int, std::vector<const v1::TrialJob*>> by_fold;
  for (const v1::TrialJob& job : lease.trials().jobs()) {
    by_fold[job.fold()].push_back(&job);
  }
  for (const auto& [fold, jobs] : by_fold) {
    ASSIGN_OR_RETURN(const FoldImages images, bench.images->Fold(fold));
    size_t next = 0;
    while (next < jobs.size()) {
      // As many trials together as their fault lists fit in memory: they share the golden pass.
      std::vector<FaultList> lists;
      lists.reserve(jobs.size() - next);  // the requests point into it
      std::vector<TrialRequest> requests;
      int64_t words = 0;
      for (; next < jobs.size() && words < kFaultyWordsTogether; ++next) {
        ASSIGN_OR_RETURN(FaultList drawn,
                         draw.Faults(*jobs[next], bench.evaluator->golden_words()));
        lists.push_back(std::move(drawn));
        for (const TensorFaults& tensor : lists.back().tensors) {
          words += static_cast<int64_t>(tensor.faults.size());
        }
        requests.push_back({jobs[next]->job_id(), &lists.back()});
      }
      absl::StatusOr<std::vector<TrialOutcome>> outcomes =
          bench.evaluator->Run(images, requests, cancelled);
      if (!outcomes.ok()) {
        return Untrusted(Annotate(outcomes.status(), absl::StrCat("fold ", fold)));
      }
      ASSIGN_OR_RETURN(const GoldenOutcome golden, bench.evaluator->Golden(images));
      for (size_t i = 0; i < outcomes->size(); ++i) {
        v1::OutcomeReport message;
        v1::TrialReport* trial = message.mutable_trial();
        trial->set_job_id((*outcomes)[i].id);
        FillReport((*outcomes)[i], lists[i], bench.surface, golden.digest, *trial);
        report(std::move(message));
      }
    }
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
