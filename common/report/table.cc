#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/report/cell_summary.h"
#include "common/report/csv.h"
#include "common/report/results.h"

namespace bitquake {
namespace {

using Row = std::vector<std::string>;

// On a terminal: characters, of which UTF-8's continuation bytes are none.
size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

// Names come from others; a terminal must not obey them.
std::string Printable(absl::string_view text) {
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); }, '?');
  return out;
}

std::string Fixed(double value) { return std::isnan(value) ? "-" : absl::StrFormat("%.2f", value); }

Row ToRow(const CellResult& cell, const CellSummary& s) {
  const std::string interval =
      std::isnan(s.ci_low) ? "-" : absl::StrFormat("[%.2f, %.2f]", s.ci_low, s.ci_high);
  return {Printable(cell.key.model),
          Printable(cell.key.format),
          Printable(cell.key.fault),
          Printable(cell.key.granularity),
          Printable(cell.key.target),
          absl::StrFormat("%.2e", cell.key.ber),
          absl::StrCat(s.trials),
          Fixed(s.top1_mean),
          interval,
          Fixed(s.loss_mean),
          Fixed(s.sdc_rate),
          Fixed(s.due_rate)};
}

std::string Aligned(const std::vector<Row>& rows, size_t first_numeric_column) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - Width(row[i]), ' ');
      const bool numeric = i >= first_numeric_column;
      absl::StrAppend(&line, i > 0 ? "  " : "", numeric ? padding : "", row[i],
                      numeric ? "" : padding);
    }
    absl::StripTrailingAsciiWhitespace(&line);
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

}  // namespace

std::string CellsTable(const std::vector<CellResult>& cells) {
  constexpr size_t kFaultColumn = 2;
  constexpr size_t kFirstNumericColumn = 5;
  std::vector<Row> rows = {{"model", "format", "fault", "granularity", "target", "BER", "trials",
                            "top-1 %", "95% interval", "loss pp", "SDC %", "DUE %"}};
  const std::vector<CellSummary> summaries = Summarize(cells);
  for (size_t i = 0; i < cells.size(); ++i) {
    if (summaries[i].trials > 0) {
      rows.push_back(ToRow(cells[i], summaries[i]));
    }
  }
  const bool one_fault = std::all_of(cells.begin(), cells.end(), [&](const CellResult& cell) {
    return cell.key.fault == cells.front().key.fault;
  });
  if (!one_fault) {
    return Aligned(rows, kFirstNumericColumn);
  }
  for (Row& row : rows) {
    row.erase(row.begin() + kFaultColumn);
  }
  return Aligned(rows, kFirstNumericColumn - 1);
}

}  // namespace bitquake
