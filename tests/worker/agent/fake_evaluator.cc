#include "tests/worker/agent/fake_evaluator.h"

#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

class FakeEvaluator : public Evaluator {
 public:
  explicit FakeEvaluator(EvaluatorScript* script) : script_(script) { ++script_->alive; }
  ~FakeEvaluator() override { --script_->alive; }

  EvaluatorTimes times() const override { return times_; }

  absl::StatusOr<GoldenOutcome> Golden(const FoldImages& fold) override {
    times_.golden += absl::Seconds(1);
    script_->seen.emplace_back(fold.pixels.begin(), fold.pixels.end());
    GoldenOutcome golden;
    for (size_t i = 0; i < fold.labels.size(); ++i) {
      golden.predictions.push_back(FakePrediction(static_cast<int>(i), fold.labels[i]));
    }
    golden.top1 = 100 + fold.fold;
    golden.top5 = 200 + fold.fold;
    golden.digest = FakeGoldenDigest(fold.fold);
    golden.attention = {2, {{1.5, 2.5}, {0.25, 1e-300}}};
    return golden;
  }

  absl::StatusOr<std::vector<TrialOutcome>> Run(const FoldImages& fold,
                                                absl::Span<const TrialRequest> trials,
                                                const std::function<bool()>& cancelled) override {
    if (trials.empty()) {  // golden alone
      const absl::Status status = script_->golden ? script_->golden(cancelled) : absl::OkStatus();
      return status.ok() ? absl::StatusOr<std::vector<TrialOutcome>>(std::vector<TrialOutcome>())
                         : status;
    }
    EvaluatorScript::Run& run = script_->runs.emplace_back();
    run.fold = fold.fold;
    times_.inject += absl::Seconds(10);
    times_.infer += absl::Seconds(20);
    times_.undo += absl::Seconds(30);
    std::vector<TrialOutcome> outcomes;
    for (const TrialRequest& trial : trials) {
      run.ids.push_back(trial.id);
      run.faults.push_back(*trial.faults);
      outcomes.push_back(FakeOutcome(trial.id));
    }
    if (script_->run) {
      const absl::Status status = script_->run(cancelled);
      if (!status.ok()) {
        return status;
      }
    }
    return outcomes;
  }

  absl::StatusOr<FaultList> RealFlips(const FaultList& faults) const override {
    return FakeFlips(faults);
  }

  const GoldenWords& golden_words() const override { return golden_words_; }

 private:
  // Every word has all bits set.
  struct AllOnes : GoldenWords {
    uint32_t Word(int, int64_t) const override { return 0xFF; }
    float Scale(int, int64_t) const override { return 1; }
    ValueRange Range(int) const override { return {-1, -1, 0xFF, 0xFF}; }
  };

  const AllOnes golden_words_{};
  EvaluatorScript* const script_;
  EvaluatorTimes times_ = {absl::Seconds(1000), absl::Seconds(1000), absl::Seconds(1000),
                           absl::Seconds(1000)};  // spent before the test
};

}  // namespace

std::string FakeGoldenDigest(int fold) { return absl::StrCat("golden of fold ", fold); }

FaultList FakeFlips(const FaultList& faults) {
  FaultList flips = faults;
  for (TensorFaults& tensor : flips.tensors) {
    for (WordFault& fault : tensor.faults) {
      fault.mask &= ~fault.mask + 1;
    }
  }
  return flips;
}

TrialOutcome FakeOutcome(int64_t id) {
  TrialOutcome outcome;
  int64_t next = 1000 * id;
  outcome.id = id;
  for (int64_t* count :
       {&outcome.images, &outcome.top1, &outcome.top5, &outcome.golden_top1, &outcome.golden_top5,
        &outcome.sdc, &outcome.right_to_wrong, &outcome.wrong_to_right, &outcome.due,
        &outcome.flips, &outcome.inferences, &outcome.flips_wanted}) {
    *count = ++next;
  }
  outcome.flips_per_bit = {++next, ++next, ++next};
  outcome.digest = absl::StrCat("outcome of ", id);
  outcome.correct = outcome.same = Bitmap(outcome.images);
  outcome.correct.Set(0);
  outcome.attention = {1, {{0.5 * static_cast<double>(id), 3}}};
  outcome.seconds = 0.25 * static_cast<double>(id);
  return outcome;
}

std::function<absl::StatusOr<std::unique_ptr<Evaluator>>(const ModelSnapshot&,
                                                         const EvaluatorOptions&)>
FakeEvaluators(EvaluatorScript* script) {
  return [script](const ModelSnapshot&,
                  const EvaluatorOptions& options) -> absl::StatusOr<std::unique_ptr<Evaluator>> {
    script->created.push_back(options.format.Name());
    script->options.push_back(options);
    if (!script->create.ok()) {
      return script->create;
    }
    return std::make_unique<FakeEvaluator>(script);
  };
}

absl::StatusOr<int> FakeChunk(const ModelSnapshot& model, const EvaluatorOptions& /*options*/,
                              int /*fold*/) {
  return 10 * std::get<VitShape>(model.architecture.network).depth;
}

}  // namespace bitquake
