// What a campaign kept of its images, as files.
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/report/csv.h"
#include "common/report/results.h"

namespace bitquake {

std::string ImagesCsv(const std::vector<CellResult>& cells) {
  std::string csv = "campaign,model,format,fault,granularity,target,ber,trial,fold,correct,same\n";
  for (const CellResult& cell : cells) {
    const CellKey& key = cell.key;
    for (const TrialResult& trial : cell.trials) {
      for (const FoldOutcome& fold : trial.folds) {
        AppendCsvRow({key.campaign, key.model, key.format, key.fault, key.granularity, key.target,
                      FormatNumber(key.ber), absl::StrCat(trial.trial), absl::StrCat(fold.fold),
                      ToHex(fold.correct.bytes()), ToHex(fold.same.bytes())},
                     &csv);
      }
    }
  }
  return csv;
}

std::string FoldsCsv(const std::vector<FoldMembers>& folds) {
  std::string csv = "fold,position,image,label\n";
  for (const FoldMembers& fold : folds) {
    for (size_t i = 0; i < fold.images.size(); ++i) {
      absl::StrAppend(&csv, fold.fold, ",", i, ",", fold.images[i], ",", fold.labels[i], "\n");
    }
  }
  return csv;
}

}  // namespace bitquake
