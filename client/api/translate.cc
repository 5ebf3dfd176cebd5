#include "client/api/translate.h"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/campaign/campaign.h"
#include "common/report/precision.h"

namespace bitquake {
namespace {

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

// What a server counts is summed over trials here, and divided: counts that nothing can have would
// overflow, or be shares above 100%.
bool AreCounts(int64_t images, std::initializer_list<int64_t> parts) {
  constexpr int64_t kMost = int64_t{1} << 40;
  return images >= 0 && images <= kMost &&
         std::all_of(parts.begin(), parts.end(),
                     [&](int64_t part) { return part >= 0 && part <= images; });
}

bool AreCounts(const v1::TrialResult& trial) {
  return AreCounts(trial.images(), {trial.top1(), trial.top5(), trial.golden_top1(),
                                    trial.golden_top5(), trial.sdc(), trial.due()}) &&
         AreCounts(trial.flips(), {});
}

absl::Status CheckCounts(const v1::CampaignInfo& info) {
  for (const v1::GoldenResult& golden : info.goldens()) {
    if (!AreCounts(golden.images(), {golden.top1(), golden.top5()})) {
      return absl::DataLossError(absl::StrCat(golden.model(), " ", golden.format(),
                                              " came with counts of images that cannot be"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCounts(const v1::CellResults& cells) {
  for (const v1::CellResult& cell : cells.cells()) {
    for (const v1::TrialResult& trial : cell.trials()) {
      if (!AreCounts(trial)) {
        return absl::DataLossError(absl::StrCat("cell ", cell.cell(), ", trial ", trial.trial(),
                                                " came with counts of images that cannot be"));
      }
    }
  }
  return absl::OkStatus();
}

CellResult CellFromProto(const v1::CellResult& from, const std::string& campaign) {
  CellResult cell;
  cell.key = {campaign,           from.model(),  from.format(), from.fault(),
              from.granularity(), from.target(), from.ber()};
  cell.bits = from.bits();
  cell.number = from.cell();
  for (const v1::TrialResult& trial : from.trials()) {
    cell.trials.push_back({trial.trial(), trial.images(), trial.top1(), trial.top5(),
                           trial.golden_top1(), trial.golden_top5(), trial.sdc(), trial.due(),
                           trial.flips(), trial.faults_digest()});
  }
  return cell;
}

AttentionDistances AttentionFrom(const v1::AttentionDistances& from) {
  AttentionDistances distances{from.heads(), {}};
  for (int i = 0; i + 1 < from.sums_size(); i += 2) {
    distances.sums.push_back({from.sums(i), from.sums(i + 1)});
  }
  return distances;
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
    results.goldens.push_back({golden.model(), golden.format(), golden.images(), golden.top1(),
                               golden.top5(), AttentionFrom(golden.attention()),
                               golden.least_fold_top1(), golden.most_fold_top1()});
  }
  results.device_kinds.assign(info.device_kinds().begin(), info.device_kinds().end());
}

absl::StatusOr<Bitmap> BitmapFrom(const std::string& bytes, int64_t images) {
  if (bytes.empty()) {
    return Bitmap();
  }
  absl::StatusOr<Bitmap> bitmap = Bitmap::FromBytes(images, bytes);
  return bitmap.ok() ? bitmap : absl::DataLossError(bitmap.status().message());
}

// A fold's images come in parts, one after the other.
absl::Status TakeFold(const v1::FoldImages& part, CampaignResults& results) {
  if (part.images_size() != part.labels_size()) {
    return absl::DataLossError(absl::StrCat("fold ", part.fold(), " came with ", part.images_size(),
                                            " images and ", part.labels_size(), " labels"));
  }
  if (results.fold_members.empty() || results.fold_members.back().fold != part.fold()) {
    results.fold_members.push_back({part.fold(), {}, {}});
  }
  FoldMembers& fold = results.fold_members.back();
  fold.images.insert(fold.images.end(), part.images().begin(), part.images().end());
  fold.labels.insert(fold.labels.end(), part.labels().begin(), part.labels().end());
  return absl::OkStatus();
}

// Null if there is none. Cells come in the order of their numbers, trials too.
TrialResult* FindTrial(CampaignResults& results, int64_t cell, uint32_t trial) {
  const auto owner =
      std::lower_bound(results.cells.begin(), results.cells.end(), cell,
                       [](const CellResult& c, int64_t number) { return c.number < number; });
  if (owner == results.cells.end() || owner->number != cell) {
    return nullptr;
  }
  std::vector<TrialResult>& trials = owner->trials;
  const auto found =
      std::lower_bound(trials.begin(), trials.end(), trial,
                       [](const TrialResult& t, uint32_t number) { return t.trial < number; });
  return found == trials.end() || found->trial != trial ? nullptr : &*found;
}

// Puts the bitmaps to the trials that they are of.
absl::Status TakeImages(const v1::TrialImages& images, CampaignResults& results) {
  for (const v1::FoldOutcome& from : images.outcomes()) {
    TrialResult* trial = FindTrial(results, from.cell(), from.trial());
    if (trial == nullptr) {
      return absl::DataLossError(absl::StrCat("images of cell ", from.cell(), ", trial ",
                                              from.trial(), ", of which there are no results"));
    }
    FoldOutcome outcome;
    outcome.fold = from.fold();
    ASSIGN_OR_RETURN(outcome.correct, BitmapFrom(from.correct(), from.images()));
    ASSIGN_OR_RETURN(outcome.same, BitmapFrom(from.same(), from.images()));
    trial->folds.push_back(std::move(outcome));
  }
  return absl::OkStatus();
}

absl::Status TakeAttention(const v1::TrialAttention& attention, CampaignResults& results) {
  for (const v1::TrialHeads& from : attention.trials()) {
    TrialResult* trial = FindTrial(results, from.cell(), from.trial());
    if (trial == nullptr) {
      return absl::DataLossError(absl::StrCat("attention of cell ", from.cell(), ", trial ",
                                              from.trial(), ", of which there are no results"));
    }
    trial->attention = AttentionFrom(from.attention());
  }
  return absl::OkStatus();
}

TrialCounts CountsFrom(const v1::TrialCounts& from) {
  return {from.images(),      from.top1(), from.top5(), from.golden_top1(),
          from.golden_top5(), from.sdc(),  from.due(),  from.inferences()};
}

}  // namespace

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
  status.jobs_expected = from.jobs_expected();
  status.images_without_flips = from.images_without_flips();
  status.images_copied = from.images_copied();
  status.images_per_second = from.images_per_second();
  status.eta_seconds = from.eta_seconds();
  status.workers = from.workers();
  status.cells = from.cells();
  if (from.has_worst_cell()) {
    const v1::WorstCell& worst = from.worst_cell();
    status.worst_target = worst.target();
    status.worst_target_at = absl::StrCat(worst.target(), absl::StrFormat(" at %.2e", worst.ber()));
    status.worst_cell =
        absl::StrCat(worst.model(), " ", worst.format(), " ", status.worst_target_at);
    status.worst_half_width = worst.half_width();
  }
  status.submitted_unix_ms = from.submitted_unix_ms();
  status.finished_unix_ms = from.finished_unix_ms();
  status.poison_errors.assign(from.poison_errors().begin(), from.poison_errors().end());
  return status;
}

absl::StatusOr<TrialRecord> FromProto(const v1::TrialRecord& from, uint32_t trial) {
  TrialRecord record;
  record.setup = {from.resolved_json(),
                  from.data_digest(),
                  from.model(),
                  from.model_digest(),
                  from.chunk(),
                  from.format(),
                  from.granularity_index(),
                  from.target(),
                  from.ber(),
                  from.fault(),
                  trial,
                  {}};
  record.finished = from.finished();
  TrialMeasurement& measured = record.measured;
  measured.sum = CountsFrom(from.counts());
  measured.flips = from.flips();
  measured.flips_per_bit.assign(from.flips_per_bit().begin(), from.flips_per_bit().end());
  measured.faults_digest = from.faults_digest();
  for (const v1::TrialFold& fold : from.folds()) {
    FoldMeasurement added;
    added.fold = fold.fold();
    added.counts = CountsFrom(fold.counts());
    added.right_to_wrong = fold.right_to_wrong();
    added.wrong_to_right = fold.wrong_to_right();
    added.digest = fold.digest();
    added.device_kind = fold.device_kind();
    added.golden_digest = fold.golden_digest();
    added.golden_device_kind = fold.golden_device_kind();
    added.attention_digest = fold.attention_digest();
    ASSIGN_OR_RETURN(added.correct, BitmapFrom(fold.correct(), added.counts.images));
    ASSIGN_OR_RETURN(added.same, BitmapFrom(fold.same(), added.counts.images));
    record.setup.folds.push_back(fold.fold());
    measured.folds.push_back(std::move(added));
  }
  return record;
}

absl::Status TakeBatch(const v1::ResultBatch& batch, CampaignResults& results) {
  RETURN_IF_ERROR(CheckCounts(batch.info()));
  RETURN_IF_ERROR(CheckCounts(batch.cells()));
  if (batch.has_info()) {
    TakeInfo(batch.info(), results);
  }
  for (const v1::CellResult& cell : batch.cells().cells()) {
    results.cells.push_back(CellFromProto(cell, results.status.name));
  }
  if (batch.has_fold()) {
    return TakeFold(batch.fold(), results);
  }
  RETURN_IF_ERROR(TakeImages(batch.images(), results));
  return TakeAttention(batch.attention(), results);
}

absl::Status FillGoldens(CampaignResults& results) {
  ASSIGN_OR_RETURN(const Campaign campaign,
                   ParseCampaign(results.resolved_json, results.status.id));
  return FillVariants(campaign, results.goldens, &results.cells);
}

}  // namespace bitquake
