// The figures of a report: tables, those of the results files among them, and which of the page's
// figures they give data for.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/report/figure_table.h"
#include "common/report/page/campaign_report.h"

namespace bitquake {

struct NamedTable {
  std::string name;
  FigureTable figures;
};

// Errors: those of FindTargetThresholds. The tables:
//
// | name       | what                                                                             |
// |------------|----------------------------------------------------------------------------------|
// | golden     | a row for each model and format: top1, top5 (percent), images                    |
// | cells      | cells.csv                                                                        |
// | thresholds | thresholds.csv                                                                   |
// | bits       | bits.csv                                                                         |
// | mad        | for each cell of a head, by its number: the head's attention distance, as mad.csv
// | | mad_vf     | mad_vf.csv | | costs      | for each model, format, fault and granularity:
// cells, trials, images, inferences |
absl::StatusOr<std::vector<NamedTable>> ReportTables(const CampaignReport& report);

// The table of this name, of those of ReportTables.
const FigureTable& TableNamed(const std::vector<NamedTable>& tables, const std::string& name);

// The text of a figure in a row. The column must exist.
std::string TextOf(const FigureTable& table, size_t row, const std::string& column);

}  // namespace bitquake
