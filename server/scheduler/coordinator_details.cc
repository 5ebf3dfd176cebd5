// What a campaign keeps beyond counts, where it asks: which images each trial had right (`keep:
// images`), and how far each head attends (`attention_distance`). All of it is held against what is
// known of the same images.
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bitmap.h"
#include "common/base/status_macros.h"
#include "server/scheduler/coordinator.h"
#include "server/scheduler/job_row.h"
#include "server/store/packed.h"

namespace bitquake {
namespace {

using Measured = Campaign::AttentionDistance;

// What contradicts what is known, in the functions below; empty if nothing does.
using Contradiction = std::string;

int64_t CountRight(const std::vector<int32_t>& predictions, const std::vector<int>& labels) {
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    right += predictions[i] == labels[i] ? 1 : 0;
  }
  return right;
}

absl::StatusOr<Contradiction> InFold(Database& db, const std::string& campaign, int fold,
                                     const GoldenOutcomeReport& golden) {
  const auto images = static_cast<size_t>(golden.images);
  if (golden.image_numbers.size() != images || golden.labels.size() != images) {
    return absl::StrCat("golden outcome of fold ", fold, " names ", golden.image_numbers.size(),
                        " images and ", golden.labels.size(), " labels; it is over ", images);
  }
  const int64_t right = CountRight(Unpack<int32_t>(golden.predictions), golden.labels);
  if (golden.top1 != right) {
    return absl::StrCat("golden outcome of fold ", fold, " has ", golden.top1,
                        " images right; by its predictions and labels ", right, " are");
  }
  Contradiction found;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT images, labels FROM fold_images WHERE campaign = ? AND fold = ?", {campaign, fold},
      [&](const Row& row) {
        if (Unpack<int64_t>(row.Text(0)) != golden.image_numbers ||
            Unpack<int>(row.Text(1)) != golden.labels) {
          found = absl::StrCat("fold ", fold,
                               " has other images or labels than in the golden outcome that came "
                               "first");
        }
        return absl::OkStatus();
      }));
  return found;
}

Contradiction InGoldenAttention(const AttentionDistances& distances) {
  if (distances.heads < 1 || distances.sums.empty() ||
      distances.sums.size() % static_cast<size_t>(distances.heads) != 0) {
    return absl::StrCat("golden outcome has attention distances of ", distances.sums.size(),
                        " heads, ", distances.heads, " in a block");
  }
  for (const HeadDistance& head : distances.sums) {
    if (!std::isfinite(head.mad) || !std::isfinite(head.renormalised) || head.mad < 0 ||
        head.renormalised < 0) {
      return "golden outcome has an attention distance that is negative or not finite";
    }
  }
  return "";
}

Contradiction InBitmaps(const TrialOutcomeReport& trial) {
  const absl::StatusOr<Bitmap> correct = Bitmap::FromBytes(trial.images, trial.correct);
  const absl::StatusOr<Bitmap> same = Bitmap::FromBytes(trial.images, trial.same);
  for (const auto& [name, bitmap] : {std::pair("correct", &correct), std::pair("same", &same)}) {
    if (!bitmap->ok()) {
      return absl::StrCat("bitmap '", name, "': ", bitmap->status().message());
    }
  }
  if (correct->Count() != trial.top1) {
    return absl::StrCat("bitmap 'correct' has ", correct->Count(), " images right, the outcome ",
                        trial.top1);
  }
  const int64_t as_golden = trial.images - trial.sdc - trial.due;
  if (same->Count() != as_golden) {
    return absl::StrCat("bitmap 'same' has ", same->Count(), " images as golden, the outcome ",
                        as_golden);
  }
  return "";
}

absl::StatusOr<Contradiction> InAttention(Database& db, int64_t variant, int fold,
                                          const AttentionDistances& distances) {
  Contradiction found;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT heads, sums FROM golden_attention WHERE variant = ? AND fold = ?", {variant, fold},
      [&](const Row& row) {
        const AttentionDistances golden = UnpackSums(row.Int(0), row.Text(1));
        if (golden.heads != distances.heads || golden.sums.size() != distances.sums.size()) {
          found = absl::StrCat("outcome has attention distances of ", distances.sums.size(),
                               " heads, golden of ", golden.sums.size());
        }
        return absl::OkStatus();
      }));
  return found;
}

}  // namespace

absl::StatusOr<std::string> Coordinator::WhatIsWrongWithDetails(Database& db, const JobRow& job,
                                                                const GoldenOutcomeReport& golden) {
  ASSIGN_OR_RETURN(const Campaign* campaign, CachedCampaign(db, job.campaign));
  Contradiction found;
  if (campaign->keep_images) {
    ASSIGN_OR_RETURN(found, InFold(db, job.campaign, job.fold, golden));
  }
  if (found.empty() && campaign->attention_distance != Measured::kNone) {
    found = InGoldenAttention(golden.attention);
  }
  return found;
}

absl::Status Coordinator::KeepDetails(Database& db, const JobRow& job,
                                      const GoldenOutcomeReport& golden) {
  ASSIGN_OR_RETURN(const Campaign* campaign, CachedCampaign(db, job.campaign));
  if (campaign->keep_images) {
    // The same in every variant: the first stays.
    RETURN_IF_ERROR(db.Run(
        "INSERT INTO fold_images (campaign, fold, images, labels) VALUES (?, ?, ?, ?) ON CONFLICT "
        "DO NOTHING",
        {job.campaign, job.fold, Blob{Pack(golden.image_numbers)}, Blob{Pack(golden.labels)}}));
  }
  if (campaign->attention_distance != Measured::kNone) {
    RETURN_IF_ERROR(
        db.Run("INSERT INTO golden_attention (variant, fold, heads, sums) VALUES (?, ?, ?, ?)",
               {job.variant, job.fold, golden.attention.heads, Blob{PackSums(golden.attention)}}));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Coordinator::WhatIsWrongWithDetails(Database& db, const JobRow& job,
                                                                const TrialOutcomeReport& trial) {
  ASSIGN_OR_RETURN(const Campaign* campaign, CachedCampaign(db, job.campaign));
  Contradiction found;
  if (campaign->keep_images) {
    found = InBitmaps(trial);
  }
  if (found.empty() && campaign->attention_distance == Measured::kFaulty) {
    ASSIGN_OR_RETURN(found, InAttention(db, job.variant, job.fold, trial.attention));
  }
  return found;
}

absl::Status Coordinator::KeepDetails(Database& db, const JobRow& job,
                                      const TrialOutcomeReport& trial) {
  ASSIGN_OR_RETURN(const Campaign* campaign, CachedCampaign(db, job.campaign));
  if (campaign->keep_images) {
    RETURN_IF_ERROR(db.Run("INSERT INTO outcome_images (job, correct, same) VALUES (?, ?, ?)",
                           {job.job, Blob{trial.correct}, Blob{trial.same}}));
  }
  if (campaign->attention_distance == Measured::kFaulty) {
    RETURN_IF_ERROR(db.Run("INSERT INTO outcome_attention (job, heads, sums) VALUES (?, ?, ?)",
                           {job.job, trial.attention.heads, Blob{PackSums(trial.attention)}}));
  }
  return absl::OkStatus();
}

}  // namespace bitquake
