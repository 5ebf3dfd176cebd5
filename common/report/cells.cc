#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/report/cell_summary.h"
#include "common/report/csv.h"
#include "common/report/figure_table.h"
#include "common/report/fragility.h"
#include "common/report/results.h"

namespace bitquake {
namespace {

using Value = Figure;

struct Column {
  const char* name;
  Value (*value)(const CellResult& cell, const CellSummary& summary);
};

// Their order is part of the contract; new ones go last.
constexpr Column kColumns[] = {
    {"campaign", [](const CellResult& c, const CellSummary&) -> Value { return c.key.campaign; }},
    {"model", [](const CellResult& c, const CellSummary&) -> Value { return c.key.model; }},
    {"format", [](const CellResult& c, const CellSummary&) -> Value { return c.key.format; }},
    {"fault", [](const CellResult& c, const CellSummary&) -> Value { return c.key.fault; }},
    {"granularity",
     [](const CellResult& c, const CellSummary&) -> Value { return c.key.granularity; }},
    {"target", [](const CellResult& c, const CellSummary&) -> Value { return c.key.target; }},
    {"bits", [](const CellResult& c, const CellSummary&) -> Value { return c.bits; }},
    {"ber", [](const CellResult& c, const CellSummary&) -> Value { return c.key.ber; }},
    {"trials", [](const CellResult&, const CellSummary& s) -> Value { return s.trials; }},
    {"images", [](const CellResult&, const CellSummary& s) -> Value { return s.images; }},
    {"golden_top1", [](const CellResult&, const CellSummary& s) -> Value { return s.golden_top1; }},
    {"golden_top5", [](const CellResult&, const CellSummary& s) -> Value { return s.golden_top5; }},
    {"top1_mean", [](const CellResult&, const CellSummary& s) -> Value { return s.top1_mean; }},
    {"top1_std", [](const CellResult&, const CellSummary& s) -> Value { return s.top1_std; }},
    {"top1_min", [](const CellResult&, const CellSummary& s) -> Value { return s.top1_min; }},
    {"top1_max", [](const CellResult&, const CellSummary& s) -> Value { return s.top1_max; }},
    {"top1_p05", [](const CellResult&, const CellSummary& s) -> Value { return s.top1_p05; }},
    {"top1_median", [](const CellResult&, const CellSummary& s) -> Value { return s.top1_median; }},
    {"top1_p95", [](const CellResult&, const CellSummary& s) -> Value { return s.top1_p95; }},
    {"ci_low", [](const CellResult&, const CellSummary& s) -> Value { return s.ci_low; }},
    {"ci_high", [](const CellResult&, const CellSummary& s) -> Value { return s.ci_high; }},
    {"loss_mean", [](const CellResult&, const CellSummary& s) -> Value { return s.loss_mean; }},
    {"top5_mean", [](const CellResult&, const CellSummary& s) -> Value { return s.top5_mean; }},
    {"sdc_rate", [](const CellResult&, const CellSummary& s) -> Value { return s.sdc_rate; }},
    {"due_rate", [](const CellResult&, const CellSummary& s) -> Value { return s.due_rate; }},
    {"flips_mean", [](const CellResult&, const CellSummary& s) -> Value { return s.flips_mean; }},
    {"vf", [](const CellResult&, const CellSummary& s) -> Value { return s.fragility.vf.value; }},
    {"cell", [](const CellResult& c, const CellSummary&) -> Value { return c.number; }},
    {"interval",
     [](const CellResult&, const CellSummary& s) -> Value {
       return std::string(IntervalMethodName(s.interval));
     }},
    {"confidence", [](const CellResult&, const CellSummary& s) -> Value { return s.confidence; }},
    {"half_width_asked",
     [](const CellResult&, const CellSummary& s) -> Value { return s.half_width_asked; }},
    {"half_width_observed",
     [](const CellResult&, const CellSummary& s) -> Value { return s.half_width_observed; }},
    {"stopped",
     [](const CellResult&, const CellSummary& s) -> Value { return StoppedName(s.stopped); }},
    {"inferences", [](const CellResult&, const CellSummary& s) -> Value { return s.inferences; }},
    {"relative_loss",
     [](const CellResult&, const CellSummary& s) -> Value { return s.fragility.relative_loss; }},
    {"loss_per_mbit",
     [](const CellResult&, const CellSummary& s) -> Value { return s.fragility.loss_per_mbit; }},
    {"vf_low",
     [](const CellResult&, const CellSummary& s) -> Value { return s.fragility.vf.interval.low; }},
    {"vf_high",
     [](const CellResult&, const CellSummary& s) -> Value { return s.fragility.vf.interval.high; }},
    {"rank", [](const CellResult&, const CellSummary& s) -> Value { return s.fragility.rank; }},
    {"rank_low",
     [](const CellResult&, const CellSummary& s) -> Value { return s.fragility.ranks.low; }},
    {"rank_high",
     [](const CellResult&, const CellSummary& s) -> Value { return s.fragility.ranks.high; }},
};

// Calls `visit` for each cell with a finished trial.
void ForEachCell(const std::vector<CellResult>& cells, const Derivation& derivation,
                 const std::function<void(const CellResult&, const CellSummary&)>& visit) {
  std::vector<CellSummary> summaries = Summarize(cells);
  AddFragility(cells, derivation, &summaries);
  for (size_t i = 0; i < cells.size(); ++i) {
    if (summaries[i].trials > 0) {
      visit(cells[i], summaries[i]);
    }
  }
}

// In the order of TrialRow.
constexpr const char* kTrialColumns[] = {"campaign", "model", "format", "fault",  "granularity",
                                         "target",   "ber",   "trial",  "images", "top1",
                                         "top5",     "sdc",   "due",    "flips",  "faults_digest"};

std::vector<Figure> TrialRow(const CellResult& cell, const TrialResult& trial) {
  const CellKey& key = cell.key;
  return {key.campaign,
          key.model,
          key.format,
          key.fault,
          key.granularity,
          key.target,
          key.ber,
          int64_t{trial.trial},
          trial.images,
          EstimateTop1(cell.golden, trial),
          EstimateTop5(cell.golden, trial),
          trial.sdc,
          trial.due,
          trial.flips,
          trial.faults_digest};
}

}  // namespace

std::string CellsCsv(const std::vector<CellResult>& cells, const Derivation& derivation) {
  std::string csv;
  std::vector<std::string> row;
  for (const Column& column : kColumns) {
    row.push_back(column.name);
  }
  AppendCsvRow(row, &csv);
  ForEachCell(cells, derivation, [&](const CellResult& cell, const CellSummary& summary) {
    row.clear();
    for (const Column& column : kColumns) {
      row.push_back(ToText(column.value(cell, summary)));
    }
    AppendCsvRow(row, &csv);
  });
  return csv;
}

std::string TrialsCsv(const std::vector<CellResult>& cells) {
  std::string csv = absl::StrCat(absl::StrJoin(kTrialColumns, ","), "\n");
  for (const CellResult& cell : cells) {
    for (const TrialResult& trial : cell.trials) {
      std::vector<std::string> row;
      for (const Figure& figure : TrialRow(cell, trial)) {
        row.push_back(ToText(figure));
      }
      AppendCsvRow(row, &csv);
    }
  }
  return csv;
}

FigureTable CellFigures(const std::vector<CellResult>& cells, const Derivation& derivation) {
  FigureTable table;
  for (const Column& column : kColumns) {
    table.columns.push_back(column.name);
  }
  ForEachCell(cells, derivation, [&](const CellResult& cell, const CellSummary& summary) {
    std::vector<Figure>& row = table.rows.emplace_back();
    row.reserve(table.columns.size());
    for (const Column& column : kColumns) {
      row.push_back(column.value(cell, summary));
    }
  });
  return table;
}

std::string TrialsJson(const std::vector<CellResult>& cells) {
  std::string json = "[";
  for (const CellResult& cell : cells) {
    for (const TrialResult& trial : cell.trials) {
      nlohmann::ordered_json row = nlohmann::ordered_json::object();
      const std::vector<Figure> figures = TrialRow(cell, trial);
      for (size_t i = 0; i < figures.size(); ++i) {
        row[kTrialColumns[i]] = ToJsonValue(figures[i]);
      }
      absl::StrAppend(
          &json, json.size() == 1 ? "\n  " : ",\n  ",
          row.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace));
    }
  }
  return absl::StrCat(json, "\n]\n");
}

std::string CellsJson(const std::vector<CellResult>& cells, const Derivation& derivation) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  ForEachCell(cells, derivation, [&](const CellResult& cell, const CellSummary& summary) {
    nlohmann::ordered_json row = nlohmann::ordered_json::object();
    for (const Column& column : kColumns) {
      row[column.name] = ToJsonValue(column.value(cell, summary));
    }
    rows.push_back(std::move(row));
  });
  return rows.dump(2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace bitquake
