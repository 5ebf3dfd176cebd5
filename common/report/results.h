// The results of a campaign as plain values, and the files that they become. Client and server
// share them. Accuracies and rates are percent unless said otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bitquake {

// What cells share with their trials.
struct CellKey {
  std::string campaign;  // its name
  std::string model;
  std::string format;
  std::string fault;
  std::string granularity;
  std::string target;
  double ber = 0;
};

// One trial, summed over the folds it saw. Counts are of images.
struct TrialResult {
  uint32_t trial = 0;
  int64_t images = 0;
  int64_t top1 = 0;  // correct
  int64_t top5 = 0;
  int64_t golden_top1 = 0;  // correct without faults, on the same images
  int64_t golden_top5 = 0;
  int64_t sdc = 0;            // finite logits, prediction differs from golden's
  int64_t due = 0;            // a logit is NaN or infinite (counted as wrong)
  int64_t flips = 0;          // bits
  std::string faults_digest;  // of the fault list
};

// A model in a format without faults, on the whole data set of the campaign.
struct GoldenResult {
  std::string model;
  std::string format;
  int64_t images = 0;
  int64_t top1 = 0;
  int64_t top5 = 0;
};

struct CellResult {
  CellKey key;
  int64_t bits = 0;  // of the target
  GoldenResult golden;
  std::vector<TrialResult> trials;  // finished ones, by number
};

// cells.csv: a row for each cell with at least one finished trial. Means, quantiles (linear
// interpolation between order statistics) and the 95% Student t interval are over trials' estimates
// of the accuracy on the whole data set: golden + paired difference. std, and with it the interval,
// is empty for one trial. `vf` is the loss over the mean loss of the cell's siblings (same model,
// format, fault, granularity and BER; of heads: those of the same block and type; types over all
// blocks apart from those of blocks; itself not counted); empty without siblings or when their mean
// loss is not positive.
std::string CellsCsv(const std::vector<CellResult>& cells);

// trials.csv: a row for each finished trial. `top1` and `top5` are the trial's estimates of the
// accuracy on the whole data set, so that their mean is that of cells.csv; sdc, due and flips are
// counts.
std::string TrialsCsv(const std::vector<CellResult>& cells);

// The cells as an aligned table for a terminal.
std::string CellsTable(const std::vector<CellResult>& cells);

// The cells as a JSON array of objects with the columns of cells.csv.
std::string CellsJson(const std::vector<CellResult>& cells);

// A number as the files write it: a whole number up to 2^53 plain, else the shortest decimal that
// reads back as the same double (1e-06). NaN, which stands for what is undefined, is empty.
std::string FormatNumber(double value);

}  // namespace bitquake
