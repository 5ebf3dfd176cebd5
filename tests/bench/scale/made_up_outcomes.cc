#include "tests/bench/scale/made_up_outcomes.h"

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/campaign/campaign.h"
#include "common/campaign/folds.h"

namespace bitquake {
namespace {

constexpr int kImagesPerFold = 200;
constexpr int kFlipsPerTrial = 100;

void MakeUpProbe(const v1::Lease& lease, const ModelSnapshot& snapshot, v1::ProbeReport* probe) {
  const absl::StatusOr<Campaign> campaign =
      ParseCampaign(lease.campaign().resolved_json(), lease.campaign().campaign_id());
  const int folds = campaign.ok() && campaign->folds > 0 ? campaign->folds : kDefaultFolds;
  probe->set_job_id(lease.probe().job_id());
  probe->set_config_json(snapshot.config_json);
  for (const TensorInfo& tensor : snapshot.Tensors()) {
    v1::TensorShape* shape = probe->add_tensors();
    shape->set_name(tensor.name);
    for (const int64_t size : tensor.shape) {
      shape->add_shape(size);
    }
  }
  probe->set_model_digest(Xxh3Hex(lease.model()));
  probe->set_data_digest(Xxh3Hex("data"));
  probe->set_images(int64_t{folds} * kImagesPerFold);
  for (int fold = 0; fold < folds; ++fold) {
    probe->add_fold_sizes(kImagesPerFold);
  }
  probe->set_chunk(kImagesPerFold);
}

std::string GoldenDigest(const v1::Lease& lease, int fold) {
  return Xxh3Hex(absl::StrCat(lease.model(), " ", lease.format(), " ", fold));
}

void MakeUpGolden(const v1::Lease& lease, const v1::FoldJob& job, v1::GoldenReport* golden) {
  golden->set_job_id(job.job_id());
  golden->set_images(kImagesPerFold);
  golden->set_top1(kImagesPerFold - 10);
  golden->set_top5(kImagesPerFold);
  golden->set_digest(GoldenDigest(lease, job.fold()));
  golden->set_predictions(std::string(kImagesPerFold * sizeof(int32_t), '\0'));
  golden->set_seconds(0.1);
}

void MakeUpTrial(const v1::Lease& lease, const v1::TrialJob& job, v1::TrialReport* trial) {
  const int64_t lost = (job.cell_id() * 7 + job.trial() * 3 + job.fold()) % 50;
  trial->set_job_id(job.job_id());
  trial->set_images(kImagesPerFold);
  trial->set_golden_top1(kImagesPerFold - 10);
  trial->set_golden_top5(kImagesPerFold);
  trial->set_top1(trial->golden_top1() - lost);
  trial->set_top5(trial->golden_top5() - lost / 2);
  trial->set_sdc(lost);
  trial->set_right_to_wrong(lost);
  trial->set_flips_wanted(kFlipsPerTrial);
  trial->set_flips(kFlipsPerTrial);
  for (int bit = 0; bit < 8; ++bit) {
    trial->add_flips_per_bit(bit == 0 ? kFlipsPerTrial : 0);
  }
  trial->set_faults_digest(Xxh3Hex(absl::StrCat(job.cell_id(), " ", job.trial())));
  trial->set_golden_digest(GoldenDigest(lease, job.fold()));
  trial->set_outcome_digest(Xxh3Hex(absl::StrCat(job.cell_id(), " ", job.trial(), " ", lost)));
  trial->set_inferences(kImagesPerFold);
  trial->set_seconds(0.1);
}

}  // namespace

std::vector<v1::OutcomeReport> MakeUpOutcomes(const v1::Lease& lease,
                                              const ModelSnapshot& snapshot) {
  std::vector<v1::OutcomeReport> reports;
  auto add = [&]() -> v1::OutcomeReport& {
    v1::OutcomeReport& report = reports.emplace_back();
    report.set_lease_id(lease.lease_id());
    report.set_campaign_id(lease.campaign().campaign_id());
    return report;
  };
  if (lease.has_probe()) {
    MakeUpProbe(lease, snapshot, add().mutable_probe());
  }
  for (const v1::FoldJob& job : lease.golden().folds()) {
    MakeUpGolden(lease, job, add().mutable_golden());
  }
  if (lease.has_trials()) {
    v1::JobsBegun* begun = add().mutable_begun();
    for (const v1::TrialJob& job : lease.trials().jobs()) {
      begun->add_job_ids(job.job_id());
    }
  }
  for (const v1::TrialJob& job : lease.trials().jobs()) {
    MakeUpTrial(lease, job, add().mutable_trial());
  }
  return reports;
}

}  // namespace bitquake
