#include "worker/agent/replay.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/report/csv.h"
#include "worker/agent/lease_runner.h"

namespace bitquake {
namespace {

constexpr int64_t kCell = 0;

// A lease of the trial's jobs, numbered as the folds are.
v1::Lease LeaseOf(const TrialSetup& setup) {
  v1::Lease lease;
  v1::CampaignContext* campaign = lease.mutable_campaign();
  campaign->set_campaign_id("replay");
  campaign->set_resolved_json(setup.resolved_json);
  campaign->set_chunk(setup.chunk);
  campaign->set_data_digest(setup.data_digest);
  campaign->set_model_digest(setup.model_digest);
  lease.set_model(setup.model);
  lease.set_format(setup.format);
  v1::CellSpec* cell = lease.mutable_trials()->add_cells();
  cell->set_cell_id(kCell);
  cell->set_granularity_index(setup.granularity_index);
  cell->set_target(setup.target);
  cell->set_ber(setup.ber);
  cell->set_fault(setup.fault);
  return lease;
}

void AddJob(v1::Lease& lease, uint32_t trial, int fold) {
  v1::TrialJob* job = lease.mutable_trials()->add_jobs();
  job->set_job_id(fold);
  job->set_cell_id(kCell);
  job->set_trial(trial);
  job->set_fold(fold);
}

void Add(const TrialCounts& counts, TrialCounts& sum) {
  sum.images += counts.images;
  sum.top1 += counts.top1;
  sum.top5 += counts.top5;
  sum.golden_top1 += counts.golden_top1;
  sum.golden_top5 += counts.golden_top5;
  sum.sdc += counts.sdc;
  sum.due += counts.due;
  sum.inferences += counts.inferences;
}

AttentionDistances AttentionFrom(const v1::AttentionDistances& from) {
  AttentionDistances distances{from.heads(), {}};
  for (int i = 0; i + 1 < from.sums_size(); i += 2) {
    distances.sums.push_back({from.sums(i), from.sums(i + 1)});
  }
  return distances;
}

absl::StatusOr<FoldMeasurement> FoldFrom(const v1::TrialReport& report, bool keep_images,
                                         const std::string& device_kind) {
  FoldMeasurement fold;
  fold.fold = static_cast<int>(report.job_id());
  fold.counts = {report.images(),      report.top1(), report.top5(), report.golden_top1(),
                 report.golden_top5(), report.sdc(),  report.due(),  report.inferences()};
  fold.right_to_wrong = report.right_to_wrong();
  fold.wrong_to_right = report.wrong_to_right();
  fold.digest = report.outcome_digest();
  fold.golden_digest = report.golden_digest();
  fold.device_kind = fold.golden_device_kind = device_kind;
  fold.attention_digest = DigestOf(AttentionFrom(report.attention()));
  if (keep_images) {
    ASSIGN_OR_RETURN(fold.correct, Bitmap::FromBytes(report.images(), report.correct()));
    ASSIGN_OR_RETURN(fold.same, Bitmap::FromBytes(report.images(), report.same()));
  }
  return fold;
}

}  // namespace

absl::Status WriteFaults(const TrialSetup& setup, Workbench& workbench, std::ostream& out) {
  v1::Lease lease = LeaseOf(setup);
  AddJob(lease, setup.trial, /*fold=*/0);
  ASSIGN_OR_RETURN(const std::vector<TrialFlips> trials, LeaseRunner(&workbench).Flips(lease));
  out << "tensor,index,bit\n";
  for (const TensorFaults& tensor : trials.front().flips.tensors) {
    const std::string name = CsvField(trials.front().surface[tensor.tensor].name);
    for (const WordFault& fault : tensor.faults) {
      for (uint32_t left = fault.mask; left != 0; left &= left - 1) {
        out << name << ',' << fault.index << ',' << __builtin_ctz(left) << '\n';
      }
    }
  }
  return out.flush() ? absl::OkStatus() : absl::UnavailableError("cannot write the faults");
}

absl::StatusOr<TrialMeasurement> MeasureAgain(const TrialSetup& setup, Workbench& workbench,
                                              const std::string& device_kind) {
  v1::Lease lease = LeaseOf(setup);
  for (const int fold : setup.folds) {
    AddJob(lease, setup.trial, fold);
  }
  ASSIGN_OR_RETURN(const Campaign campaign, ParseCampaign(setup.resolved_json, "campaign"));
  std::vector<v1::TrialReport> reports;
  absl::Status failed;
  LeaseHooks hooks;
  hooks.report = [&](const v1::OutcomeReport& report) {
    if (report.has_trial()) {
      reports.push_back(report.trial());
    } else if (report.has_failure()) {
      failed = absl::FailedPreconditionError(report.failure().error());
    }
  };
  RETURN_IF_ERROR(LeaseRunner(&workbench).Run(lease, hooks));
  RETURN_IF_ERROR(failed);
  TrialMeasurement measured;
  for (const v1::TrialReport& report : reports) {
    ASSIGN_OR_RETURN(FoldMeasurement fold, FoldFrom(report, campaign.keep_images, device_kind));
    Add(fold.counts, measured.sum);
    measured.flips = report.flips();
    measured.flips_per_bit.assign(report.flips_per_bit().begin(), report.flips_per_bit().end());
    measured.faults_digest = report.faults_digest();
    measured.folds.push_back(std::move(fold));
  }
  return measured;
}

}  // namespace bitquake
