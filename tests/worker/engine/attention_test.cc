// Mean attention distances: the definition, the values of uniform attention, and that measuring
// changes nothing and depends on nothing that it should not.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/worker/engine/fixtures.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

constexpr int kImages = 11;  // no multiple of the chunk: the last is padded

ModelSnapshot SnapshotOf(const TestVit& vit, const std::vector<TestTensor>& tensors) {
  auto snapshot = OpenSnapshot(WriteSnapshot(ConfigJson(vit), tensors));
  EXPECT_TRUE(snapshot.ok()) << snapshot.status();
  return *std::move(snapshot);
}

EvaluatorOptions Measuring(const char* format, int chunk = 4, int threads = 2) {
  EvaluatorOptions options = Options(format, chunk, threads);
  options.golden_attention = options.trial_attention = true;
  return options;
}

AttentionDistances GoldenOf(CpuEvaluator& evaluator, const FoldImages& fold) {
  auto golden = evaluator.Golden(fold);
  EXPECT_TRUE(golden.ok()) << golden.status();
  return golden.ok() ? golden->attention : AttentionDistances();
}

std::vector<TrialOutcome> RunAll(CpuEvaluator& evaluator, const FoldImages& fold,
                                 const std::vector<FaultList>& lists) {
  std::vector<TrialRequest> requests;
  for (const FaultList& list : lists) {
    requests.push_back({static_cast<int64_t>(requests.size()), &list});
  }
  auto outcomes = evaluator.Run(fold, requests, Never);
  EXPECT_TRUE(outcomes.ok()) << outcomes.status();
  return outcomes.ok() ? *std::move(outcomes) : std::vector<TrialOutcome>();
}

// Bit for bit.
void ExpectSame(const AttentionDistances& a, const AttentionDistances& b) {
  EXPECT_EQ(a.heads, b.heads);
  ASSERT_EQ(a.sums.size(), b.sums.size());
  for (size_t i = 0; i < a.sums.size(); ++i) {
    EXPECT_EQ(a.sums[i].mad, b.sums[i].mad) << i;
    EXPECT_EQ(a.sums[i].renormalised, b.sums[i].renormalised) << i;
  }
}

// Without queries and keys, attention is uniform.
struct Uniform {
  int image;
  int patch;
  double pixels;
};
std::ostream& operator<<(std::ostream& out, const Uniform& u) {
  return out << u.image << "/" << u.patch;
}
class UniformAttentionTest : public ::testing::TestWithParam<Uniform> {};

TEST_P(UniformAttentionTest, HasTheDistanceOfTheGrid) {
  TestVit vit;
  vit.image = GetParam().image;
  vit.patch = GetParam().patch;
  vit.depth = 2;
  std::vector<TestTensor> tensors = RandomTensors(vit, 3);
  for (TestTensor& tensor : tensors) {
    for (const char* qkv : {".attn.qkv.weight", ".attn.qkv.bias"}) {
      if (tensor.name.find(qkv) != std::string::npos) {
        std::fill(tensor.values.begin(), tensor.values.begin() + tensor.values.size() / 3 * 2, 0);
      }
    }
  }
  const ModelSnapshot snapshot = SnapshotOf(vit, tensors);
  const TestImages images(vit, 2);
  auto evaluator = MakeEvaluator(snapshot, Measuring("fp32"));
  const AttentionDistances golden = GoldenOf(*evaluator, images.fold);
  EXPECT_EQ(golden.heads, vit.heads);
  ASSERT_EQ(golden.sums.size(), 4u);
  const double patches = (vit.image / vit.patch) * (vit.image / vit.patch);
  for (const HeadDistance& head : golden.sums) {
    EXPECT_NEAR(head.renormalised / 2, GetParam().pixels, 0.005);
    EXPECT_NEAR(head.mad / 2, head.renormalised / 2 * patches / (patches + 1), 1e-4)
        << "the class token takes its share";
  }
}

INSTANTIATE_TEST_SUITE_P(Grids, UniformAttentionTest,
                         ::testing::Values(Uniform{224, 16, 116.49}, Uniform{224, 32, 115.50},
                                           Uniform{384, 16, 200.05}, Uniform{384, 32, 199.51},
                                           Uniform{224, 14, 116.57}));

class AttentionTest : public ::testing::Test {
 protected:
  const TestVit vit_;
  const ModelSnapshot snapshot_ = RandomSnapshot(vit_, 2418);
  const TestImages images_{vit_, kImages};
  const int tensors_ = static_cast<int>(snapshot_.surface.size());

  // The whole model; each tensor alone, last first; nothing.
  std::vector<FaultList> Trials(const char* format) {
    std::vector<FaultList> lists = {RandomFaults(snapshot_, Format(format), 0, tensors_ - 1, 3, 7)};
    for (int tensor = tensors_ - 1; tensor >= 0; --tensor) {
      lists.push_back(RandomFaults(snapshot_, Format(format), tensor, tensor, 20, tensor));
    }
    lists.push_back({});
    return lists;
  }
};

// The definition in plain loops over the keys and queries of the first block, which the reference
// computes from the weights.
TEST_F(AttentionTest, OfTheFirstBlockIsThatOfTheDefinition) {
  auto evaluator = MakeEvaluator(snapshot_, Measuring("fp32"));
  const AttentionDistances golden = GoldenOf(*evaluator, images_.fold);
  const auto graph_input = [&](const char* name) { return evaluator->weight(name); };
  // Tokens before the first block, in double.
  const at::Tensor mean = at::tensor({0.5, 0.4, 0.3}, at::kDouble).view({3, 1, 1});
  const at::Tensor std = at::tensor({0.5, 0.25, 0.2}, at::kDouble).view({3, 1, 1});
  const int grid = vit_.image / vit_.patch;
  const int patches = grid * grid;
  const int head_dim = vit_.width / vit_.heads;
  std::vector<double> mad(vit_.heads), renormalised(vit_.heads);
  for (const auto& pixels : images_.pixels) {
    const at::Tensor image =
        (at::from_blob(const_cast<uint8_t*>(pixels.data()), {3, vit_.image, vit_.image}, at::kByte)
                 .to(at::kDouble) /
             255 -
         mean) /
        std;
    const at::Tensor embedded =
        at::conv2d(image.unsqueeze(0), graph_input("patch_embed.proj.weight").to(at::kDouble),
                   graph_input("patch_embed.proj.bias").to(at::kDouble), vit_.patch)
            .flatten(2)
            .transpose(1, 2)[0];
    at::Tensor x = at::cat({graph_input("cls_token").to(at::kDouble)[0], embedded}) +
                   graph_input("pos_embed").to(at::kDouble)[0];
    x = at::layer_norm(x, {vit_.width}, graph_input("blocks.0.norm1.weight").to(at::kDouble),
                       graph_input("blocks.0.norm1.bias").to(at::kDouble), 1e-6);
    const at::Tensor qkv = at::linear(x, graph_input("blocks.0.attn.qkv.weight").to(at::kDouble),
                                      graph_input("blocks.0.attn.qkv.bias").to(at::kDouble));
    for (int h = 0; h < vit_.heads; ++h) {
      const at::Tensor q = qkv.narrow(1, h * head_dim, head_dim);
      const at::Tensor k = qkv.narrow(1, vit_.width + h * head_dim, head_dim);
      for (int i = 0; i < patches; ++i) {
        std::vector<double> weights;
        for (int j = 0; j <= patches; ++j) {
          weights.push_back(std::exp((q[1 + i] * k[j]).sum().item<double>() / std::sqrt(head_dim)));
        }
        double all = 0, of_patches = 0, distance = 0;
        for (int j = 0; j <= patches; ++j) {
          all += weights[j];
          if (j > 0) {
            of_patches += weights[j];
            distance += weights[j] * vit_.patch *
                        std::hypot(i / grid - (j - 1) / grid, i % grid - (j - 1) % grid);
          }
        }
        mad[h] += distance / all / patches;
        renormalised[h] += distance / of_patches / patches;
      }
    }
  }
  for (int h = 0; h < vit_.heads; ++h) {
    EXPECT_NEAR(golden.sums[h].mad, mad[h], 1e-4);
    EXPECT_NEAR(golden.sums[h].renormalised, renormalised[h], 1e-4);
    EXPECT_NE(golden.sums[h].mad, golden.sums[h].renormalised);
  }
}

TEST_F(AttentionTest, MeasuringChangesNoOutcome) {
  const std::vector<FaultList> lists = Trials("int8");
  auto measuring = MakeEvaluator(snapshot_, Measuring("int8"));
  auto plain = MakeEvaluator(snapshot_, Options("int8"));
  const auto with = RunAll(*measuring, images_.fold, lists);
  const auto without = RunAll(*plain, images_.fold, lists);
  EXPECT_EQ(measuring->Golden(images_.fold)->digest, plain->Golden(images_.fold)->digest);
  EXPECT_TRUE(GoldenOf(*plain, images_.fold).sums.empty()) << "only when asked";
  for (size_t i = 0; i < lists.size(); ++i) {
    EXPECT_EQ(Counts(with[i]), Counts(without[i]));
    EXPECT_EQ(with[i].digest, without[i].digest);
    EXPECT_TRUE(without[i].attention.sums.empty());
  }
}

TEST_F(AttentionTest, DependsNotOnThreadsReuseMemoryOrOtherTrials) {
  const std::vector<FaultList> lists = Trials("int8");
  auto first = MakeEvaluator(snapshot_, Measuring("int8"));
  const auto expected = RunAll(*first, images_.fold, lists);
  const AttentionDistances golden = GoldenOf(*first, images_.fold);
  CpuTuning whole;
  whole.reuse = false;
  CpuTuning tight;
  tight.kept_bytes = 1;
  auto repeating = MakeEvaluator(snapshot_, Measuring("int8", 4, 3), whole);
  auto chunk_by_chunk = MakeEvaluator(snapshot_, Measuring("int8", 4, 1), tight);
  auto before = MakeEvaluator(snapshot_, Measuring("int8"));
  ExpectSame(GoldenOf(*before, images_.fold), golden);
  for (CpuEvaluator* other : {repeating.get(), chunk_by_chunk.get(), before.get()}) {
    const auto outcomes = RunAll(*other, images_.fold, lists);
    ExpectSame(GoldenOf(*other, images_.fold), golden);
    for (size_t i = 0; i < lists.size(); ++i) {
      ExpectSame(outcomes[i].attention, expected[i].attention);
    }
  }
  auto apart = MakeEvaluator(snapshot_, Measuring("int8"));
  for (size_t i = lists.size(); i-- > 0;) {
    ExpectSame(RunAll(*apart, images_.fold, {lists[i]})[0].attention, expected[i].attention);
  }
}

TEST_F(AttentionTest, OnlyBlocksBehindAFaultChange) {
  auto evaluator = MakeEvaluator(snapshot_, Measuring("int8"));
  const AttentionDistances golden = GoldenOf(*evaluator, images_.fold);
  const auto changed = [&](const std::string& name) {
    std::string blocks;
    for (int tensor = 0; tensor < tensors_; ++tensor) {
      if (snapshot_.surface[tensor].name != name) {
        continue;
      }
      const FaultList faults =
          RandomFaults(snapshot_, Format("int8"), tensor, tensor, 200, /*seed=*/5);
      const AttentionDistances now = RunAll(*evaluator, images_.fold, {faults})[0].attention;
      for (int block = 0; block < vit_.depth; ++block) {
        bool differs = false;
        for (int head = 0; head < vit_.heads; ++head) {
          const int i = block * vit_.heads + head;
          differs = differs || now.sums[i].mad != golden.sums[i].mad;
        }
        blocks += differs ? '1' : '0';
      }
    }
    return blocks;
  };
  EXPECT_EQ(changed("pos_embed"), "111");
  EXPECT_EQ(changed("blocks.1.attn.qkv.weight"), "011");
  EXPECT_EQ(changed("blocks.1.mlp.fc1.weight"), "001");
  EXPECT_EQ(changed("blocks.2.attn.qkv.weight"), "001");
  EXPECT_EQ(changed("head.weight"), "000");
}

TEST_F(AttentionTest, OfADenselyFaultyModelIsItsGolden) {
  auto evaluator = MakeEvaluator(snapshot_, Measuring("fp32"));
  FaultList faults = RandomFaults(snapshot_, Format("fp32"), 0, tensors_ - 1, 5, 11);
  std::vector<TestTensor> dense = RandomTensors(vit_, 2418);
  for (TensorFaults& hit : faults.tensors) {
    for (TestTensor& tensor : dense) {
      if (tensor.name != snapshot_.surface[hit.tensor].name) {
        continue;
      }
      for (WordFault& fault : hit.faults) {
        fault.mask = 0x80000000u;
        tensor.values[fault.index] = -tensor.values[fault.index];
      }
    }
  }
  auto faulty = MakeEvaluator(SnapshotOf(vit_, dense), Measuring("fp32"));
  ExpectSame(RunAll(*evaluator, images_.fold, {faults})[0].attention,
             GoldenOf(*faulty, images_.fold));
}

TEST_F(AttentionTest, AttentionThatIsNotFiniteIsNaN) {
  auto evaluator = MakeEvaluator(snapshot_, Measuring("fp32"));
  FaultList faults;
  for (int tensor = 0; tensor < tensors_; ++tensor) {
    if (snapshot_.surface[tensor].name == "blocks.1.attn.qkv.weight") {
      const auto values = ToFloat(*snapshot_.weights.Find("blocks.1.attn.qkv.weight")).value();
      TensorFaults hit{tensor, {}};
      for (int64_t i = 0; i < vit_.width; ++i) {
        uint32_t word;
        std::memcpy(&word, &values[i], sizeof(word));
        hit.faults.push_back({i, ~word & 0x7f800000u});
      }
      faults.tensors.push_back(hit);
    }
  }
  const AttentionDistances now = RunAll(*evaluator, images_.fold, {faults})[0].attention;
  EXPECT_TRUE(std::isfinite(now.sums[0].mad));
  EXPECT_TRUE(std::isnan(now.sums[vit_.heads].mad));
  EXPECT_TRUE(std::isnan(now.sums[vit_.heads].renormalised));
}

TEST_F(AttentionTest, OptionsThatDoNotFitAreRefused) {
  EvaluatorOptions options = Options("int8");
  options.trial_attention = true;
  EXPECT_EQ(CreateEvaluator(snapshot_, options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace bitquake
