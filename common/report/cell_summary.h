// What the trials of a cell say about it: the figures of a row of cells.csv.
#pragma once

#include <cstdint>
#include <vector>

#include "common/report/fragility.h"
#include "common/report/results.h"
#include "common/stats/trial_design.h"

namespace bitquake {

// Accuracies and rates are percent. A figure that is undefined is NaN (one trial has no deviation).
struct CellSummary {
  int64_t trials = 0;
  int64_t images = 0;  // over all trials
  double golden_top1, golden_top5;
  double top1_mean, top1_std, top1_min, top1_max, top1_p05, top1_median, top1_p95;
  double ci_low, ci_high;  // of top1_mean, by the cell's PrecisionRule
  double loss_mean;        // golden_top1 - top1_mean
  double top5_mean;
  double sdc_rate, due_rate;  // of the images over all trials
  double flips_mean;          // bits a trial
  IntervalMethod interval = IntervalMethod::kStudent;
  double confidence = 0.95;
  double half_width_asked;     // percentage points; undefined for a fixed number of trials
  double half_width_observed;  // percentage points
  Stopped stopped = Stopped::kFixed;
  int64_t inferences = 0;  // images to be run: see CellsCsv
  Fragility fragility;     // undefined before AddFragility
};

// A trial's estimate of the accuracy on the whole data set: golden accuracy there + (correct -
// golden correct on the trial's images) / images of the trial.
double EstimateTop1(const GoldenResult& golden, const TrialResult& trial);
double EstimateTop5(const GoldenResult& golden, const TrialResult& trial);

// How precise a cell with finished trials is, by its rule; without one, Student's interval at 95%.
CellPrecision PrecisionOf(const CellResult& cell);

// One for each cell, in order. Cells without trials have trials = 0 and no meaning else.
std::vector<CellSummary> Summarize(const std::vector<CellResult>& cells);

// Fills in `fragility`, in which cells are compared with each other. `summaries` are those of
// `cells`.
void AddFragility(const std::vector<CellResult>& cells, const Derivation& derivation,
                  std::vector<CellSummary>* summaries);

}  // namespace bitquake
