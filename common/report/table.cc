#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/shown.h"
#include "common/report/cell_summary.h"
#include "common/report/results.h"
#include "common/report/terminal_table.h"

namespace bitquake {
namespace {

std::vector<std::string> ToRow(const CellResult& cell, const CellSummary& s) {
  return {Printable(cell.key.model),
          Printable(cell.key.format),
          Printable(cell.key.fault),
          Printable(cell.key.granularity),
          Printable(cell.key.target),
          absl::StrFormat("%.2e", cell.key.ber),
          absl::StrCat(s.trials),
          Fixed(s.top1_mean),
          FixedInterval(s.ci_low, s.ci_high),
          Fixed(s.loss_mean),
          Fixed(s.sdc_rate),
          Fixed(s.due_rate)};
}

}  // namespace

std::string CellsTable(const std::vector<CellResult>& cells, const Derivation& derivation) {
  constexpr size_t kFaultColumn = 2;
  constexpr size_t kTextColumns = 5;
  const std::vector<CellSummary> summaries = Summarize(cells);
  std::vector<std::vector<std::string>> rows = {
      {"model", "format", "fault", "granularity", "target", "BER", "trials", "top-1 %",
       absl::StrFormat("%g%% interval", 100 * derivation.confidence), "loss pp", "SDC %", "DUE %"}};
  for (size_t i = 0; i < cells.size(); ++i) {
    if (summaries[i].trials > 0) {
      rows.push_back(ToRow(cells[i], summaries[i]));
    }
  }
  const bool one_fault = std::all_of(cells.begin(), cells.end(), [&](const CellResult& cell) {
    return cell.key.fault == cells.front().key.fault;
  });
  if (!one_fault) {
    return Aligned(rows, kTextColumns);
  }
  for (std::vector<std::string>& row : rows) {
    row.erase(row.begin() + kFaultColumn);
  }
  return Aligned(rows, kTextColumns - 1);
}

}  // namespace bitquake
