// Results whose names anyone may have chosen, as files and on a terminal.
//
//   for each cell: six names, each up to a zero byte; numbers; trials
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/report/bits.h"
#include "common/report/csv.h"
#include "common/report/fragility.h"
#include "common/report/mad_vf.h"
#include "common/report/ranking.h"
#include "common/report/results.h"
#include "common/report/thresholds.h"
#include "tests/fuzz/input_bytes.h"
#include "tests/fuzz/must.h"

namespace bitquake {
namespace {

constexpr size_t kMostCells = 40;
constexpr int kMostTrials = 12;

TrialResult TakeTrial(InputBytes* input, uint32_t number) {
  TrialResult trial;
  trial.trial = number + input->TakeBool();
  trial.images = input->Take<uint8_t>();
  const auto some = [&] {
    return static_cast<int64_t>(input->Take<uint8_t>()) % (trial.images + 1);
  };
  trial.top1 = some();
  trial.golden_top1 = some();
  trial.sdc = some();
  trial.due = some();
  trial.flips = input->Take<uint16_t>();
  trial.faults_digest = input->TakeText();
  return trial;
}

CellResult TakeCell(InputBytes* input, int64_t number) {
  CellResult cell;
  for (std::string* name : {&cell.key.campaign, &cell.key.model, &cell.key.format, &cell.key.fault,
                            &cell.key.granularity, &cell.key.target}) {
    *name = input->TakeText();
  }
  cell.key.ber = 1.0 / (1 + input->Take<uint16_t>());
  cell.bits = input->Take<uint16_t>();
  cell.number = number;
  cell.golden = {cell.key.model, cell.key.format, input->Take<uint8_t>(), 0, 0};
  cell.golden.top1 = input->Take<uint8_t>() % (cell.golden.images + 1);
  for (int trials = input->TakeIndex(kMostTrials); trials > 0; --trials) {
    cell.trials.push_back(TakeTrial(input, static_cast<uint32_t>(cell.trials.size())));
  }
  return cell;
}

// By RFC 4180, strictly.
std::vector<std::vector<std::string>> ReadCsv(absl::string_view csv) {
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> row;
  while (!csv.empty()) {
    std::string field;
    if (csv.front() == '"') {
      size_t end = 1;
      for (; csv.substr(end, 1) != "\"" || csv.substr(end + 1, 1) == "\""; ++end) {
        Must(end < csv.size(), "a quoted field ends");
        field.push_back(csv[end]);
        end += csv[end] == '"' ? 1 : 0;
      }
      csv.remove_prefix(end + 1);
    } else {
      const size_t end = csv.find_first_of(",\n");
      Must(end != absl::string_view::npos, "a file ends with a line's end");
      field = std::string(csv.substr(0, end));
      Must(field.find_first_of("\"\r") == std::string::npos, "a plain field holds no quote");
      csv.remove_prefix(end);
    }
    row.push_back(std::move(field));
    Must(!csv.empty() && (csv.front() == ',' || csv.front() == '\n'), "a field ends");
    if (csv.front() == '\n') {
      rows.push_back(std::move(row));
      row.clear();
    }
    csv.remove_prefix(1);
  }
  Must(row.empty(), "a row ends");
  return rows;
}

void CheckCsv(const std::vector<CellResult>& cells, const std::string& csv) {
  const std::vector<std::vector<std::string>> rows = ReadCsv(csv);
  Must(!rows.empty(), "a file has a heading");
  size_t row = 0;
  for (const CellResult& cell : cells) {
    if (cell.trials.empty()) {
      continue;
    }
    Must(++row < rows.size(), "each cell with trials has a row");
    Must(rows[row].size() == rows[0].size(), "a row has as many fields as the heading");
    Must(std::vector<std::string>(rows[row].begin(), rows[row].begin() + 6) ==
             std::vector<std::string>{cell.key.campaign, cell.key.model, cell.key.format,
                                      cell.key.fault, cell.key.granularity, cell.key.target},
         "names are read as they are");
  }
  Must(row + 1 == rows.size(), "other cells have none");
}

void MustBePrintable(const std::string& text) {
  Must(std::all_of(text.begin(), text.end(),
                   [](char c) { return c == '\n' || !absl::ascii_iscntrl(c); }),
       "a terminal gets no control characters");
}

}  // namespace
}  // namespace bitquake

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  InputBytes input(data, size);
  std::vector<CellResult> cells;
  while (!input.empty() && cells.size() < kMostCells) {
    cells.push_back(TakeCell(&input, static_cast<int64_t>(cells.size())));
  }
  Derivation derivation;
  derivation.resamples = 20;
  CheckCsv(cells, CellsCsv(cells, derivation));
  ReadCsv(TrialsCsv(cells));
  const auto json = nlohmann::json::parse(CellsJson(cells, derivation), nullptr, false);
  Must(json.is_array(), "results are JSON");
  ReadCsv(ToCsv(BitFigures(cells)));
  ReadCsv(ToCsv(MadVfFigures(CorrelateMadWithVf(cells, derivation))));
  MustBePrintable(CellsTable(cells, derivation));
  MustBePrintable(BitsTable(cells));
  MustBePrintable(RankingTable(cells, derivation));
  const auto thresholds = FindTargetThresholds(cells, derivation);
  if (thresholds.ok()) {
    ReadCsv(ToCsv(ThresholdFigures(*thresholds)));
    MustBePrintable(ThresholdsTable(*thresholds));
  }
  return 0;
}
