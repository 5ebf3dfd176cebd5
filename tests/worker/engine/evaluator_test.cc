#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "common/fault/number_format.h"
#include "tests/worker/engine/fixtures.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

constexpr int kImages = 50;  // no multiple of the chunk: the last is padded

std::vector<FaultList> TrialsEverywhere(const ModelSnapshot& snapshot, NumberFormat format) {
  const int tensors = static_cast<int>(snapshot.surface.size());
  std::vector<FaultList> lists;
  lists.push_back(RandomFaults(snapshot, format, 0, tensors - 1, 3, 7));  // the whole model
  for (int tensor = tensors - 1; tensor >= 0; --tensor) {  // each tensor alone, last first
    lists.push_back(RandomFaults(snapshot, format, tensor, tensor, 20, tensor));
  }
  lists.push_back({});
  return lists;
}

std::vector<TrialRequest> Requests(const std::vector<FaultList>& lists) {
  std::vector<TrialRequest> requests;
  for (size_t i = 0; i < lists.size(); ++i) {
    requests.push_back({static_cast<int64_t>(100 + i), &lists[i]});
  }
  return requests;
}

std::vector<TrialOutcome> RunAll(TorchEvaluator& evaluator, const FoldImages& fold,
                                 const std::vector<TrialRequest>& requests) {
  auto outcomes = evaluator.Run(fold, requests, Never);
  EXPECT_TRUE(outcomes.ok()) << outcomes.status();
  return outcomes.ok() ? *std::move(outcomes) : std::vector<TrialOutcome>();
}

void ExpectSame(const std::vector<TrialOutcome>& a, const std::vector<TrialOutcome>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(Counts(a[i]), Counts(b[i])) << "trial " << i;
    EXPECT_EQ(a[i].digest, b[i].digest) << "trial " << i;
  }
}

class EvaluatorTest : public ::testing::Test {
 protected:
  const TestVit vit_;
  const ModelSnapshot snapshot_ = RandomSnapshot(vit_, 2418);
  const TestImages images_{vit_, kImages};
  const NumberFormat int8_ = Format("int8");
  const std::vector<FaultList> lists_ = TrialsEverywhere(snapshot_, int8_);
  const std::vector<TrialRequest> requests_ = Requests(lists_);
};

TEST_F(EvaluatorTest, FaultsChangePredictions) {  // or the tests below would prove little
  auto evaluator = MakeEvaluator(snapshot_, Options("int8"));
  int changed = 0;
  for (const TrialOutcome& outcome : RunAll(*evaluator, images_.fold, requests_)) {
    EXPECT_EQ(outcome.images, kImages);
    changed += outcome.sdc > 0;
  }
  EXPECT_GT(changed, 10);
}

TEST_F(EvaluatorTest, PrefixReuseDoesNotChangeOutcomes) {
  EvaluatorTuning whole;
  whole.reuse = false;
  auto reusing = MakeEvaluator(snapshot_, Options("int8"));
  auto repeating = MakeEvaluator(snapshot_, Options("int8"), whole);
  ExpectSame(RunAll(*reusing, images_.fold, requests_),
             RunAll(*repeating, images_.fold, requests_));
}

// On a CUDA device (BITQUAKE_TEST_DEVICE); the CPU has nothing to record.
TEST_F(EvaluatorTest, RecordingDoesNotChangeOutcomes) {
  EvaluatorTuning always;
  always.recording = Recording::kAlways;
  EvaluatorTuning never;
  never.recording = Recording::kNever;
  auto recording = MakeEvaluator(snapshot_, Options("int8"), always);
  auto queueing = MakeEvaluator(snapshot_, Options("int8"), never);
  const auto expected = RunAll(*queueing, images_.fold, requests_);
  for (int round = 0; round < 3; ++round) {
    ExpectSame(RunAll(*recording, images_.fold, requests_), expected);
  }
  EXPECT_EQ(queueing->forwards().recorded(), 0);
  EXPECT_EQ(recording->forwards().recorded() > 0, Options("int8").device != "cpu");
  EXPECT_EQ(recording->forwards().given_up(), "");
}

TEST_F(EvaluatorTest, MemoryBudgetDoesNotChangeOutcomes) {
  EvaluatorTuning tight;
  tight.kept_bytes = 1;
  auto roomy = MakeEvaluator(snapshot_, Options("int8"));
  auto chunk_by_chunk = MakeEvaluator(snapshot_, Options("int8", 4, 1), tight);
  ExpectSame(RunAll(*roomy, images_.fold, requests_),
             RunAll(*chunk_by_chunk, images_.fold, requests_));
}

TEST_F(EvaluatorTest, ThreadsDoNotChangeOutcomes) {
  auto one = MakeEvaluator(snapshot_, Options("int8", 4, 1));
  const auto expected = RunAll(*one, images_.fold, requests_);
  const std::string digest = one->Golden(images_.fold)->digest;
  for (const int threads : {2, 3}) {
    auto several = MakeEvaluator(snapshot_, Options("int8", 4, threads));
    ExpectSame(RunAll(*several, images_.fold, requests_), expected);
    EXPECT_EQ(several->Golden(images_.fold)->digest, digest);
  }
}

TEST_F(EvaluatorTest, OtherTrialsOfACallDoNotChangeOutcomes) {
  auto together = MakeEvaluator(snapshot_, Options("int8"));
  const auto expected = RunAll(*together, images_.fold, requests_);
  auto apart = MakeEvaluator(snapshot_, Options("int8"));
  std::vector<TrialOutcome> outcomes(requests_.size());
  for (size_t i = requests_.size(); i-- > 0;) {
    outcomes[i] = RunAll(*apart, images_.fold, {requests_[i]})[0];
  }
  ExpectSame(outcomes, expected);
}

TEST_F(EvaluatorTest, GoldenIsTheSameBeforeAndWithinARun) {
  auto before = MakeEvaluator(snapshot_, Options("int8"));
  ASSERT_TRUE(before->Golden(images_.fold).ok());
  const auto with_known_golden = RunAll(*before, images_.fold, requests_);
  auto within = MakeEvaluator(snapshot_, Options("int8"));
  ExpectSame(RunAll(*within, images_.fold, requests_), with_known_golden);
  EXPECT_EQ(within->Golden(images_.fold)->digest, before->Golden(images_.fold)->digest);
}

// The whole path against a model that was made faulty densely: quantise every tensor of the
// surface, flip, dequantise, write it as an fp32 model, and ask for that model's golden outcome.
TEST_F(EvaluatorTest, OutcomesEqualThoseOfADenselyFaultyModel) {
  const Quantization kFine = {Quantization::Scale::kPerChannel, 99.5};
  const std::pair<const char*, Quantization> kCases[] = {
      {"int8", {}},     {"int8", kFine}, {"int4", {}}, {"int16", {}},    {"fixed(2.6)", {}},
      {"fp8_e4m3", {}}, {"fp16", {}},    {"bf16", {}}, {"fp8_e5m2", {}}, {"fp32", {}}};
  for (const auto& [name, quantization] : kCases) {
    const NumberFormat format = Format(name);
    EvaluatorOptions options = Options(name);
    options.quantization = quantization;
    auto evaluator = MakeEvaluator(snapshot_, options);
    const auto golden = evaluator->Golden(images_.fold);
    ASSERT_TRUE(golden.ok()) << golden.status();
    for (uint32_t seed = 0; seed < 4; ++seed) {
      const int first = static_cast<int>(seed % snapshot_.surface.size());
      FaultList faults = RandomFaults(snapshot_, format, first, first + 3, 6, seed);
      const bool is_float =
          format.kind != NumberFormat::Kind::kInt && format.kind != NumberFormat::Kind::kFixed;
      faults.effect = seed < 2 ? FaultList::Effect::kFlip : FaultList::Effect::kSet;
      for (TensorFaults& hit : faults.tensors) {
        for (WordFault& fault : hit.faults) {
          if (is_float) {  // mantissa and sign only: finite
            fault.mask = seed % 2 == 0 ? 1u << (format.bits - 1) : 3u;
          }
          fault.value = seed < 2 ? 0 : fault.mask & 0x55555556u;
        }
      }
      std::vector<TestTensor> dense = RandomTensors(vit_, 2418);
      std::vector<int64_t> flips(format.bits);
      for (size_t s = 0; s < snapshot_.surface.size(); ++s) {
        auto tensor = std::find_if(dense.begin(), dense.end(), [&](const TestTensor& t) {
          return t.name == snapshot_.surface[s].name;
        });
        QuantizedTensor quantized =
            Quantize(tensor->values, format, quantization, snapshot_.surface[s].shape).value();
        for (const TensorFaults& hit : faults.tensors) {
          for (const WordFault& fault : hit.faults) {
            if (hit.tensor == static_cast<int>(s)) {
              uint32_t& word = quantized.words[fault.index];
              const uint32_t before = word;
              word = seed < 2 ? word ^ fault.mask : (word & ~fault.mask) | fault.value;
              for (int bit = 0; bit < format.bits; ++bit) {
                flips[bit] += (before ^ word) >> bit & 1;
              }
            }
          }
        }
        for (size_t i = 0; i < tensor->values.size(); ++i) {
          tensor->values[i] =
              Dequantize(quantized.words[i], quantized.ScaleOf(static_cast<int64_t>(i)), format);
        }
      }
      const ModelSnapshot faulty = OpenSnapshot(WriteSnapshot(ConfigJson(vit_), dense)).value();
      auto reference = MakeEvaluator(faulty, Options("fp32"));
      const auto expected = reference->Golden(images_.fold);
      ASSERT_TRUE(expected.ok()) << expected.status();
      int64_t sdc = 0;
      for (int i = 0; i < kImages; ++i) {
        sdc += expected->predictions[i] != golden->predictions[i];
      }
      const TrialOutcome outcome = RunAll(*evaluator, images_.fold, {{9, &faults}})[0];
      EXPECT_EQ(outcome.top1, expected->top1) << name << " " << seed;
      EXPECT_EQ(outcome.top5, expected->top5) << name << " " << seed;
      EXPECT_EQ(outcome.sdc, sdc) << name << " " << seed;
      EXPECT_EQ(outcome.golden_top1, golden->top1);
      EXPECT_EQ(outcome.golden_top5, golden->top5);
      EXPECT_EQ(outcome.flips_per_bit, flips) << name << " " << seed;
      EXPECT_EQ(outcome.flips, std::accumulate(flips.begin(), flips.end(), int64_t{0}));
      EXPECT_EQ(outcome.flips_wanted, outcome.flips);
      EXPECT_EQ(outcome.top1 - outcome.golden_top1,
                outcome.wrong_to_right - outcome.right_to_wrong);
    }
  }
}

TEST_F(EvaluatorTest, StuckBitsThatChangeNothingRunNothing) {
  auto evaluator = MakeEvaluator(snapshot_, Options("int8"));
  const auto values = ToFloat(*snapshot_.weights.Find("head.weight")).value();
  const QuantizedTensor quantized = Quantize(values, int8_).value();
  FaultList stuck;
  stuck.effect = FaultList::Effect::kSet;
  stuck.tensors.push_back({static_cast<int>(snapshot_.surface.size()) - 1, {}});
  for (int64_t i = 0; i < 40; ++i) {
    stuck.tensors[0].faults.push_back({i, 0xF0, quantized.words[i] & 0xF0});
  }
  FaultList one = stuck;
  one.tensors[0].faults[7].value ^= 0x40;
  const auto outcomes = RunAll(*evaluator, images_.fold, {{1, &stuck}, {2, &one}});
  EXPECT_EQ(outcomes[0].inferences, 0);
  EXPECT_EQ(outcomes[0].flips_wanted, 0);
  EXPECT_EQ(outcomes[0].flips, 0);
  EXPECT_EQ(outcomes[0].flips_per_bit, std::vector<int64_t>(8));
  EXPECT_EQ(outcomes[1].inferences, kImages);
  EXPECT_EQ(outcomes[1].flips_wanted, 1);
  EXPECT_EQ(outcomes[1].flips_per_bit, (std::vector<int64_t>{0, 0, 0, 0, 0, 0, 1, 0}));

  EXPECT_TRUE(evaluator->RealFlips(stuck)->tensors.empty());
  const FaultList real = evaluator->RealFlips(one).value();
  EXPECT_EQ(real.effect, FaultList::Effect::kFlip);
  EXPECT_EQ(real.tensors[0].faults, (std::vector<WordFault>{{7, 0x40}}));
  one.tensors[0].tensor = 99;
  EXPECT_EQ(evaluator->RealFlips(one).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(EvaluatorTest, TrialsWithoutFlipsRunNothing) {
  auto evaluator = MakeEvaluator(snapshot_, Options("int8"));
  const auto golden = evaluator->Golden(images_.fold);
  ASSERT_TRUE(golden.ok());
  const FaultList none;
  FaultList empty_tensor;
  empty_tensor.tensors.push_back({2, {}});
  int asked = 0;
  auto outcomes = evaluator->Run(images_.fold, {{1, &none}, {2, &empty_tensor}}, [&] {
    ++asked;
    return false;
  });
  ASSERT_TRUE(outcomes.ok()) << outcomes.status();
  EXPECT_EQ(asked, 0);  // no chunk was started
  for (const TrialOutcome& outcome : *outcomes) {
    EXPECT_EQ(outcome.inferences, 0);
    EXPECT_EQ(outcome.flips, 0);
    EXPECT_EQ(outcome.sdc, 0);
    EXPECT_EQ(outcome.top1, golden->top1);
    EXPECT_EQ(outcome.top5, golden->top5);
  }
}

TEST_F(EvaluatorTest, KeptImagesAgreeWithTheCountsHoweverTrialsAreGrouped) {
  EvaluatorOptions keeping = Options("int8");
  keeping.keep_images = true;
  auto together = MakeEvaluator(snapshot_, keeping);
  const auto outcomes = RunAll(*together, images_.fold, requests_);
  auto plain = MakeEvaluator(snapshot_, Options("int8"));
  const auto without = RunAll(*plain, images_.fold, requests_);
  ExpectSame(outcomes, without);
  keeping.threads = 1;
  auto apart = MakeEvaluator(snapshot_, keeping);
  for (size_t i = requests_.size(); i-- > 0;) {
    EXPECT_EQ(without[i].correct.items(), 0);
    EXPECT_EQ(outcomes[i].correct.items(), kImages);
    EXPECT_EQ(outcomes[i].correct.Count(), outcomes[i].top1);
    EXPECT_EQ(outcomes[i].same.Count(), kImages - outcomes[i].sdc - outcomes[i].due);
    const TrialOutcome alone = RunAll(*apart, images_.fold, {requests_[i]})[0];
    EXPECT_EQ(alone.correct, outcomes[i].correct) << i;
    EXPECT_EQ(alone.same, outcomes[i].same) << i;
  }
  EXPECT_EQ(outcomes.back().same.Count(), kImages) << "a trial without a flip";
}

TEST_F(EvaluatorTest, LogitsThatAreNotFiniteAreDetectedErrors) {
  auto evaluator = MakeEvaluator(snapshot_, Options("fp32"));
  const int head = static_cast<int>(snapshot_.surface.size()) - 1;
  FaultList infinite;  // every weight of one class gets all exponent bits: NaN or infinite
  TensorFaults hit{head, {}};
  const auto values = ToFloat(*snapshot_.weights.Find("head.weight")).value();
  for (int64_t i = 0; i < vit_.width; ++i) {
    uint32_t word;
    std::memcpy(&word, &values[i], sizeof(word));
    hit.faults.push_back({i, ~word & 0x7f800000u});
  }
  infinite.tensors.push_back(hit);
  const TrialOutcome outcome = RunAll(*evaluator, images_.fold, {{1, &infinite}})[0];
  EXPECT_EQ(outcome.due, kImages);
  EXPECT_EQ(outcome.sdc, 0);
  EXPECT_EQ(outcome.top1, 0);
  EXPECT_EQ(outcome.top5, 0);
  EXPECT_EQ(outcome.right_to_wrong, outcome.golden_top1);
}

TEST_F(EvaluatorTest, GoldenThatIsNotFiniteIsAnError) {
  std::vector<TestTensor> tensors = RandomTensors(vit_, 1);
  for (TestTensor& tensor : tensors) {
    if (tensor.name == "head.bias") {
      tensor.values[3] = std::numeric_limits<float>::infinity();
    }
  }
  const ModelSnapshot broken = OpenSnapshot(WriteSnapshot(ConfigJson(vit_), tensors)).value();
  auto evaluator = MakeEvaluator(broken, Options("int8"));
  const auto golden = evaluator->Golden(images_.fold);
  EXPECT_EQ(golden.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(golden.status().message(), HasSubstr("without any fault"));
}

TEST_F(EvaluatorTest, CanaryFindsADamagedWeight) {
  auto evaluator = MakeEvaluator(snapshot_, Options("int8"));
  ASSERT_TRUE(evaluator->Golden(images_.fold).ok());
  evaluator->weight("blocks.1.norm2.bias")[3] += 1;
  const auto outcomes = evaluator->Run(images_.fold, requests_, Never);
  EXPECT_EQ(outcomes.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(outcomes.status().message(), HasSubstr("canary"));
  // Nothing is answered any more.
  EXPECT_EQ(evaluator->Golden(images_.fold).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(evaluator->Run(images_.fold, {}, Never).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(EvaluatorTest, DamageThatLogitsDoNotShowIsFound) {
  auto evaluator = MakeEvaluator(snapshot_, Options("int8"));
  ASSERT_TRUE(evaluator->Golden(images_.fold).ok());
  at::Tensor weights = evaluator->weight("blocks.0.mlp.fc1.weight").flatten();
  const at::Tensor zeros = at::nonzero(weights.eq(0)).flatten();
  ASSERT_GT(zeros.numel(), 0);
  weights[zeros[0].item<int64_t>()].neg_();  // changes no sum
  const auto outcomes = evaluator->Run(images_.fold, {requests_[0]}, Never);
  EXPECT_EQ(outcomes.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(outcomes.status().message(), HasSubstr("differ from those loaded"));
}

TEST_F(EvaluatorTest, DamageBeforeGoldenIsFound) {
  auto evaluator = MakeEvaluator(snapshot_, Options("int8"));
  evaluator->weight("norm.bias")[0] += 1;
  EXPECT_EQ(evaluator->Golden(images_.fold).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(EvaluatorTest, CancellationStopsBetweenChunksAndLeavesWordsGolden) {
  auto evaluator = MakeEvaluator(snapshot_, Options("int8"));
  ASSERT_TRUE(evaluator->Golden(images_.fold).ok());
  int asked = 0;
  const auto cancelled = evaluator->Run(images_.fold, requests_, [&] { return ++asked > 10; });
  EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled);
  EXPECT_LE(asked, 12);  // once more if the 11th answer came after the last chunk had started
  auto fresh = MakeEvaluator(snapshot_, Options("int8"));
  ExpectSame(RunAll(*evaluator, images_.fold, requests_), RunAll(*fresh, images_.fold, requests_));
}

TEST_F(EvaluatorTest, RefusesListsThatDoNotFitTheSurface) {
  auto evaluator = MakeEvaluator(snapshot_, Options("int8"));
  const auto message = [&](std::vector<TensorFaults> tensors) {
    const FaultList faults{std::move(tensors)};
    const auto outcomes = evaluator->Run(images_.fold, {{5, &faults}}, Never);
    EXPECT_EQ(outcomes.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(outcomes.status().message());
  };
  EXPECT_THAT(message({{99, {{0, 1}}}}), HasSubstr("tensor 99"));
  EXPECT_THAT(message({{-1, {{0, 1}}}}), HasSubstr("tensor -1"));
  EXPECT_THAT(message({{0, {{16, 1}}}}), HasSubstr("cls_token: word 16"));
  EXPECT_THAT(message({{0, {{3, 1}, {3, 2}}}}), HasSubstr("word 3 is out of order"));
  EXPECT_THAT(message({{0, {{3, 0x100}}}}), HasSubstr("mask 256"));
  EXPECT_THAT(message({{0, {{3, 0}}}}), HasSubstr("mask 0"));
  EXPECT_EQ(evaluator->Run(images_.fold, {{5, nullptr}}, Never).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(EvaluatorTest, RefusesFoldsThatDoNotFitTheModel) {
  auto evaluator = MakeEvaluator(snapshot_, Options("int8"));
  FoldImages fold = images_.fold;
  fold.labels[4] = vit_.classes;
  EXPECT_THAT(evaluator->Golden(fold).status().message(), HasSubstr("label 7"));
  fold.labels.pop_back();
  EXPECT_THAT(evaluator->Golden(fold).status().message(), HasSubstr("49 labels"));
  ASSERT_TRUE(evaluator->Golden(images_.fold).ok());
  const TestImages others(vit_, kImages, /*seed=*/2);
  EXPECT_THAT(evaluator->Golden(others.fold).status().message(), HasSubstr("other images"));
}

TEST_F(EvaluatorTest, RefusesOptionsByName) {
  EvaluatorOptions options = Options("int8");
  options.compute = "tf32";
  EXPECT_EQ(CreateEvaluator(snapshot_, options).ok(), options.device != "cpu");
  options.compute = "fp8";
  EXPECT_THAT(CreateEvaluator(snapshot_, options).status().message(), HasSubstr("'fp8'"));
  options.compute = "fp32";
  options.device = "gpu";
  EXPECT_THAT(CreateEvaluator(snapshot_, options).status().message(),
              HasSubstr("'gpu' is not cpu, cuda or cuda:NUMBER"));
  EXPECT_THAT(CreateEvaluator(snapshot_, Options("int8", 0)).status().message(),
              HasSubstr("chunk 0"));
  EXPECT_THAT(CreateEvaluator(snapshot_, Options("int8", 4, 0)).status().message(),
              HasSubstr("threads 0"));
}

TEST_F(EvaluatorTest, ChunkSizeChangesNoPrediction) {
  auto small = MakeEvaluator(snapshot_, Options("int8", 1));
  auto large = MakeEvaluator(snapshot_, Options("int8", 64));  // one chunk, padded
  EXPECT_EQ(small->Golden(images_.fold)->predictions, large->Golden(images_.fold)->predictions);
}

TEST_F(EvaluatorTest, TimesAreThoseOfWhatWasDone) {
  auto evaluator = MakeEvaluator(snapshot_, Options("int8"));
  ASSERT_TRUE(evaluator->Golden(images_.fold).ok());
  const EvaluatorTimes golden = evaluator->times();
  EXPECT_GT(golden.golden, absl::ZeroDuration());
  EXPECT_EQ(golden.inject, absl::ZeroDuration());
  EXPECT_EQ(golden.infer, absl::ZeroDuration());
  EXPECT_EQ(golden.undo, absl::ZeroDuration());

  const FaultList nothing;
  ASSERT_TRUE(evaluator->Run(images_.fold, {{1, &nothing}}, Never).ok());
  EXPECT_EQ(evaluator->times().infer, absl::ZeroDuration());

  RunAll(*evaluator, images_.fold, requests_);
  const EvaluatorTimes all = evaluator->times();
  EXPECT_GT(all.golden, golden.golden);
  EXPECT_GT(all.inject, absl::ZeroDuration());
  EXPECT_GT(all.infer, all.inject);
  EXPECT_GT(all.undo, absl::ZeroDuration());
}

TEST(Device, KindNamesWhatResultsDependOn) {
  EXPECT_THAT(DeviceKind("cpu").value(),
              ::testing::MatchesRegex("cpu (AMD|Intel|other) .+, torch 2\\..+"));
}

}  // namespace
}  // namespace bitquake
