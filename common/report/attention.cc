// Attention distances as a file.
#include "absl/strings/str_cat.h"
#include "common/report/csv.h"
#include "common/report/results.h"

namespace bitquake {
namespace {

// A row for each head: `key` (the columns campaign to trial), then what was measured.
void AppendHeads(const std::vector<std::string>& key, const AttentionDistances& distances,
                 int64_t images, std::string* csv) {
  const auto n = static_cast<double>(images);
  for (size_t i = 0; i < distances.sums.size() && distances.heads > 0; ++i) {
    std::vector<std::string> row = key;
    row.push_back(absl::StrCat(i / distances.heads));
    row.push_back(absl::StrCat(i % distances.heads));
    row.push_back(FormatNumber(distances.sums[i].mad / n));
    row.push_back(FormatNumber(distances.sums[i].renormalised / n));
    row.push_back(absl::StrCat(images));
    AppendCsvRow(row, csv);
  }
}

}  // namespace

std::string MadCsv(const std::string& campaign, const std::vector<GoldenResult>& goldens,
                   const std::vector<CellResult>& cells) {
  std::string csv =
      "campaign,model,format,fault,granularity,target,ber,trial,block,head,mad_px,"
      "mad_renormalised_px,images\n";
  for (const GoldenResult& golden : goldens) {
    AppendHeads({campaign, golden.model, golden.format, "", "", "", "", ""}, golden.attention,
                golden.images, &csv);
  }
  for (const CellResult& cell : cells) {
    const CellKey& key = cell.key;
    for (const TrialResult& trial : cell.trials) {
      AppendHeads({key.campaign, key.model, key.format, key.fault, key.granularity, key.target,
                   FormatNumber(key.ber), absl::StrCat(trial.trial)},
                  trial.attention, trial.images, &csv);
    }
  }
  return csv;
}

}  // namespace bitquake
