// The results of a campaign as plain values, and the files that they become. Client and server
// share them. Accuracies and rates are percent unless said otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/base/bitmap.h"
#include "common/model/attention_distance.h"
#include "common/stats/trial_design.h"

namespace bitquake {

struct FigureTable;  // figure_table.h

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

// Which images of a fold a trial had right: a bit for each image, in the fold's order.
struct FoldOutcome {
  int fold = 0;
  Bitmap correct;
  Bitmap same;  // as golden: finite logits and the same prediction
};

// The images of a fold, in its order.
struct FoldMembers {
  int fold = 0;
  std::vector<int64_t> images;  // numbers in the data set, from 0
  std::vector<int> labels;
};

// One trial, summed over the folds it saw. Counts are of images.
struct TrialResult {
  uint32_t trial = 0;
  int64_t images = 0;
  int64_t top1 = 0;  // correct
  int64_t top5 = 0;
  int64_t golden_top1 = 0;  // correct without faults, on the same images
  int64_t golden_top5 = 0;
  int64_t sdc = 0;                      // finite logits, prediction differs from golden's
  int64_t due = 0;                      // a logit is NaN or infinite (counted as wrong)
  int64_t flips = 0;                    // bits
  std::string faults_digest;            // of the fault list
  std::vector<FoldOutcome> folds = {};  // only where the campaign kept images
  AttentionDistances attention = {};    // only where it was measured under faults
};

// A model in a format without faults, on the whole data set of the campaign.
struct GoldenResult {
  std::string model;
  std::string format;
  int64_t images = 0;
  int64_t top1 = 0;
  int64_t top5 = 0;
  AttentionDistances attention = {};  // only where it was measured
  // Top-1 on the folds with the least and the most, percent.
  double least_fold_top1 = 0;
  double most_fold_top1 = 0;
};

// Where a cell has no rule: `trials` of any number, Student's interval at 95%.
struct CellResult {
  CellKey key;
  int64_t bits = 0;  // of the target
  GoldenResult golden;
  std::vector<TrialResult> trials;  // finished ones, by number
  // In the campaign's order, from 0: `replay` takes it. A search leaves numbers out: each rate of
  // its grid has one, those that it did not measure too.
  int64_t number = 0;
  std::shared_ptr<const PrecisionRule> precision = nullptr;  // its variant's, as golden is
};

// How figures that rest on several cells are computed.
struct Derivation {
  uint64_t seed = 0;                             // the campaign's; resamples follow from it
  double confidence = 0.95;                      // of their intervals
  std::vector<double> loss_limits = {1, 5, 10};  // of thresholds: percentage points
  int resamples = 2000;                          // of bootstrap
  // The rates that a search chooses from, ascending; empty without a search.
  std::vector<double> search_grid = {};
};

// How a campaign's are computed: by its seed and confidence, and for the losses that it searches,
// if it does. `resolved_json` is the campaign with all defaults filled in.
Derivation DerivationOf(absl::string_view resolved_json);

// cells.csv: a row for each cell with at least one finished trial. Means, quantiles (linear
// interpolation between order statistics) and the interval, by the campaign's method and
// confidence, are over trials' estimates of the accuracy on the whole data set: golden + paired
// difference. std, and with it the interval, is empty for one trial. A cell of an adaptive campaign
// states mean +- the half-width that was asked for, or the observed one where it is wider
// (common/stats/sequential.h); `stopped` says why it has no more trials. `inferences` are the
// images that have to be run for the row: not those of a trial without a flip, nor of one that has
// the same faults as the same trial of the same target at a lower rate. `relative_loss` to
// `rank_high`, and `vf`, are fragility.h's.
std::string CellsCsv(const std::vector<CellResult>& cells, const Derivation& derivation);

// The same, before it is text.
FigureTable CellFigures(const std::vector<CellResult>& cells, const Derivation& derivation);

// trials.csv: a row for each finished trial. `top1` and `top5` are the trial's estimates of the
// accuracy on the whole data set, so that their mean is that of cells.csv; sdc, due and flips are
// counts.
std::string TrialsCsv(const std::vector<CellResult>& cells);
// The same, as an array with an object for each row.
std::string TrialsJson(const std::vector<CellResult>& cells);

// images.csv: a row for each fold of each finished trial, with its bitmaps in hexadecimal, byte by
// byte: the first image of the fold is the least significant bit of the first byte, so "09" are the
// images 0 and 3.
std::string ImagesCsv(const std::vector<CellResult>& cells);

// folds.csv: a row for each image of each fold: its position in the fold, its number in the data
// set, its label.
std::string FoldsCsv(const std::vector<FoldMembers>& folds);

// mad.csv: mean attention distance, in pixels, of each head: for each golden (its columns fault to
// trial are empty), then for each trial that measured it. `mad_px` is of attention as it is,
// `mad_renormalised_px` of its rows renormalised over the patches; empty where faults made
// attention NaN.
std::string MadCsv(const std::string& campaign, const std::vector<GoldenResult>& goldens,
                   const std::vector<CellResult>& cells);

// The cells as an aligned table for a terminal; with a column of faults if there are several.
std::string CellsTable(const std::vector<CellResult>& cells, const Derivation& derivation);

// The cells as a JSON array of objects with the columns of cells.csv.
std::string CellsJson(const std::vector<CellResult>& cells, const Derivation& derivation);

// A number as the files write it: a whole number up to 2^53 plain, else the shortest decimal that
// reads back as the same double (1e-06). NaN, which stands for what is undefined, is empty.
std::string FormatNumber(double value);

}  // namespace bitquake
