// What a campaign keeps of its images (`keep: images`): which image of the data set each bit stands
// for, and the bits of each outcome. They are checked against what is known of the same images.
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/bitmap.h"
#include "common/base/status_macros.h"
#include "server/scheduler/coordinator.h"
#include "server/scheduler/job_row.h"
#include "server/store/packed.h"

namespace bitquake {
namespace {

int64_t CountRight(const std::vector<int32_t>& predictions, const std::vector<int>& labels) {
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    right += predictions[i] == labels[i];
  }
  return right;
}

}  // namespace

absl::StatusOr<std::string> Coordinator::WhatIsWrongWithFold(Database& db, const JobRow& job,
                                                             const GoldenOutcomeReport& golden) {
  const auto images = static_cast<size_t>(golden.images);
  if (golden.image_numbers.size() != images || golden.labels.size() != images) {
    return absl::StrCat("golden outcome of fold ", job.fold, " names ", golden.image_numbers.size(),
                        " images and ", golden.labels.size(), " labels; it is over ", images);
  }
  const int64_t right = CountRight(Unpack<int32_t>(golden.predictions), golden.labels);
  if (golden.top1 != right) {
    return absl::StrCat("golden outcome of fold ", job.fold, " has ", golden.top1,
                        " images right; by its predictions and labels ", right, " are");
  }
  std::string wrong;
  RETURN_IF_ERROR(
      db.ForEach("SELECT images, labels FROM fold_images WHERE campaign = ? AND fold = ?",
                 {job.campaign, job.fold}, [&](const Row& row) {
                   if (Unpack<int64_t>(row.Text(0)) != golden.image_numbers ||
                       Unpack<int>(row.Text(1)) != golden.labels) {
                     wrong = absl::StrCat("fold ", job.fold,
                                          " has other images or labels than in the "
                                          "golden outcome that came first");
                   }
                   return absl::OkStatus();
                 }));
  return wrong;
}

absl::Status Coordinator::KeepFold(Database& db, const JobRow& job,
                                   const GoldenOutcomeReport& golden) {
  // The same in every variant: the first stays.
  return db.Run(
      "INSERT INTO fold_images (campaign, fold, images, labels) VALUES (?, ?, ?, ?) ON CONFLICT DO "
      "NOTHING",
      {job.campaign, job.fold, Blob{Pack(golden.image_numbers)}, Blob{Pack(golden.labels)}});
}

std::string Coordinator::WhatIsWrongWithImages(const TrialOutcomeReport& trial) {
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

absl::Status Coordinator::KeepImages(Database& db, const JobRow& job,
                                     const TrialOutcomeReport& trial) {
  return db.Run("INSERT INTO outcome_images (job, correct, same) VALUES (?, ?, ?)",
                {job.job, Blob{trial.correct}, Blob{trial.same}});
}

}  // namespace bitquake
