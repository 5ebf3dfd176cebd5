// An evaluator that remembers what it was asked and answers by rule, without torch.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/engine/evaluator.h"

namespace bitquake {

// What the fakes of one test share. Not locked: the worker has one thread that evaluates.
struct EvaluatorScript {
  struct Run {
    int fold;
    std::vector<int64_t> ids;
    std::vector<FaultList> faults;
  };
  std::vector<std::string> created;            // formats, in order
  std::vector<EvaluatorOptions> options;       // likewise
  std::vector<std::vector<const void*>> seen;  // pixels of the folds that golden was asked for
  std::vector<Run> runs;
  int alive = 0;
  absl::Status create = absl::OkStatus();
  // Instead of the answer, where it is not OK; asked in each Run.
  std::function<absl::Status(const std::function<bool()>& cancelled)> run;
  // The same of each Run without trials, which computes golden.
  std::function<absl::Status(const std::function<bool()>& cancelled)> golden;
};

// Golden's prediction for the image at `place` of a fold: all four bytes differ.
inline int FakePrediction(int place, int label) { return 0x01020000 + 0x100 * place + label; }
std::string FakeGoldenDigest(int fold);
// Every count of it is another number, whatever the faults.
TrialOutcome FakeOutcome(int64_t id);

// Of every word only the lowest of its faulty bits.
FaultList FakeFlips(const FaultList& faults);

// For WorkbenchOptions::create_evaluator. `script` must outlive all.
std::function<absl::StatusOr<std::unique_ptr<Evaluator>>(const ModelSnapshot&,
                                                         const EvaluatorOptions&)>
FakeEvaluators(EvaluatorScript* script);

// For WorkbenchOptions::choose_chunk: ten for each block.
absl::StatusOr<int> FakeChunk(const ModelSnapshot& model, const EvaluatorOptions& options,
                              int fold);

}  // namespace bitquake
