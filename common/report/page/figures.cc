#include "common/report/page/figures.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/base/status_macros.h"
#include "common/report/bits.h"
#include "common/report/mad_vf.h"
#include "common/report/thresholds.h"

namespace bitquake {
namespace {

FigureTable GoldenFigures(const std::vector<GoldenResult>& goldens) {
  FigureTable table;
  table.columns = {"model", "format", "images", "top1", "top5"};
  for (const GoldenResult& golden : goldens) {
    const auto images = static_cast<double>(golden.images);
    table.rows.push_back({golden.model, golden.format, golden.images,
                          100.0 * static_cast<double>(golden.top1) / images,
                          100.0 * static_cast<double>(golden.top5) / images});
  }
  return table;
}

FigureTable MadFigures(const std::vector<CellResult>& cells) {
  FigureTable table;
  table.columns = {"cell", "mad_px", "mad_renormalised_px"};
  for (const CellResult& cell : cells) {
    const HeadDistance* distance = cell.trials.empty() ? nullptr : GoldenDistance(cell);
    if (distance != nullptr) {
      const auto images = static_cast<double>(cell.golden.images);
      table.rows.push_back({cell.number, distance->mad / images, distance->renormalised / images});
    }
  }
  return table;
}

size_t ColumnOf(const FigureTable& table, const std::string& column) {
  return std::find(table.columns.begin(), table.columns.end(), column) - table.columns.begin();
}

FigureTable CostFigures(const FigureTable& cells) {
  const std::vector<std::string> key = {"model", "format", "fault", "granularity"};
  const std::vector<std::string> counts = {"trials", "images", "inferences"};
  FigureTable table;
  table.columns = {"model", "format", "fault",  "granularity",
                   "cells", "trials", "images", "inferences"};
  for (const std::vector<Figure>& row : cells.rows) {
    std::vector<Figure> group;
    for (const std::string& column : key) {
      group.push_back(row[ColumnOf(cells, column)]);
    }
    auto sums = std::find_if(table.rows.begin(), table.rows.end(), [&](const auto& known) {
      return std::equal(group.begin(), group.end(), known.begin());
    });
    if (sums == table.rows.end()) {
      group.resize(table.columns.size(), int64_t{0});
      sums = table.rows.insert(table.rows.end(), std::move(group));
    }
    ++std::get<int64_t>((*sums)[key.size()]);
    for (size_t i = 0; i < counts.size(); ++i) {
      std::get<int64_t>((*sums)[key.size() + 1 + i]) +=
          std::get<int64_t>(row[ColumnOf(cells, counts[i])]);
    }
  }
  return table;
}

}  // namespace

absl::StatusOr<std::vector<NamedTable>> ReportTables(const CampaignReport& report) {
  const Derivation derivation = DerivationOf(report.resolved_json);
  ASSIGN_OR_RETURN(const std::vector<TargetThresholds> thresholds,
                   FindTargetThresholds(report.cells, derivation));
  std::vector<NamedTable> tables;
  tables.push_back({"golden", GoldenFigures(report.goldens)});
  tables.push_back({"cells", CellFigures(report.cells, derivation)});
  FigureTable costs = CostFigures(tables.back().figures);
  tables.push_back({"thresholds", ThresholdFigures(thresholds)});
  tables.push_back({"bits", BitFigures(report.cells)});
  tables.push_back({"mad", MadFigures(report.cells)});
  tables.push_back({"mad_vf", MadVfFigures(CorrelateMadWithVf(report.cells, derivation))});
  tables.push_back({"costs", std::move(costs)});
  return tables;
}

const FigureTable& TableNamed(const std::vector<NamedTable>& tables, const std::string& name) {
  const auto found = std::find_if(tables.begin(), tables.end(),
                                  [&](const NamedTable& table) { return table.name == name; });
  if (found == tables.end()) {
    abort();  // our own bug
  }
  return found->figures;
}

std::string TextOf(const FigureTable& table, size_t row, const std::string& column) {
  return ToText(table.rows[row][ColumnOf(table, column)]);
}

}  // namespace bitquake
