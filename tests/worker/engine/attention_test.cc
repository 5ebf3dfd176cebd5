// Mean attention distances: the definition, the values of uniform attention, and that measuring
// changes nothing and depends on nothing that it should not.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/worker/engine/reference_network.h"

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

AttentionDistances GoldenOf(TorchEvaluator& evaluator, const FoldImages& fold) {
  auto golden = evaluator.Golden(fold);
  EXPECT_TRUE(golden.ok()) << golden.status();
  return golden.ok() ? golden->attention : AttentionDistances();
}

std::vector<TrialOutcome> RunAll(TorchEvaluator& evaluator, const FoldImages& fold,
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

// The attention maps of a plain, distilled or DeepViT transformer, by their definition; of the
// latter, whose later blocks see mixed maps, those of the first block.
template <typename Network>
class ReferenceAttention : public ReferenceNetwork {
 public:
  ReferenceAttention(const Network& network, bool distilled, bool deep, uint32_t seed)
      : ReferenceNetwork(RandomTensors(network, seed), 1e-6),
        network_(network),
        prefix_(distilled ? 2 : 1),
        blocks_(deep ? 1 : network.depth) {}

  Vector Logits(const std::vector<uint8_t>& pixels) override {
    Tokens x = EmbedPatches(pixels, network_.image, network_.patch);
    if (prefix_ == 2) {
      x.insert(x.begin(), Get("dist_token"));
    }
    x.insert(x.begin(), Get("cls_token"));
    for (size_t t = 0; t < x.size(); ++t) {
      for (int i = 0; i < network_.width; ++i) {
        x[t][i] += Get("pos_embed")[t * network_.width + i];
      }
    }
    const int head_dim = network_.width / network_.heads;
    Vector distances;  // for each head: as it is, renormalised
    for (int b = 0; b < blocks_; ++b) {
      const std::string block = "blocks." + std::to_string(b) + ".";
      const Tokens qkv = Qkv(block, x);
      std::vector<Map> maps;
      for (int h = 0; h < network_.heads; ++h) {
        maps.push_back(AttentionMap(qkv, h, head_dim));
        AppendDistances(maps.back(), distances);
      }
      AddProjected(block, Mix(maps, qkv, head_dim), x);
      AddMlp(block, x);
    }
    return distances;
  }

 private:
  void AppendDistances(const Map& map, Vector& out) const {
    const int grid = network_.image / network_.patch;
    const int patches = grid * grid;
    double as_is = 0, renormalised = 0;
    for (int i = 0; i < patches; ++i) {
      double distance = 0, left = 0;
      for (int j = 0; j < patches; ++j) {
        const double weight = map[prefix_ + i][prefix_ + j];
        left += weight;
        distance += weight * network_.patch * std::hypot(i / grid - j / grid, i % grid - j % grid);
      }
      as_is += distance / patches;
      renormalised += distance / left / patches;
    }
    out.push_back(as_is);
    out.push_back(renormalised);
  }

  const Network network_;
  const int prefix_;
  const int blocks_;
};

template <typename Network>
void ExpectDistancesOfTheDefinition(const Network& network, bool distilled, bool deep) {
  ReferenceAttention<Network> reference(network, distilled, deep, 5);
  const TestImages images(network, 7);  // no multiple of the chunk
  Vector expected;
  for (const std::vector<uint8_t>& pixels : images.pixels) {
    const Vector distances = reference.Logits(pixels);
    expected.resize(distances.size());
    for (size_t i = 0; i < distances.size(); ++i) expected[i] += distances[i];
  }
  auto evaluator = MakeEvaluator(RandomSnapshot(network, 5), Measuring("fp32"));
  const AttentionDistances golden = GoldenOf(*evaluator, images.fold);
  EXPECT_EQ(golden.heads, network.heads);
  ASSERT_EQ(golden.sums.size(), static_cast<size_t>(network.depth * network.heads));
  for (size_t i = 0; i < expected.size() / 2; ++i) {
    EXPECT_NEAR(golden.sums[i].mad, expected[2 * i], 1e-5 * expected[2 * i]) << i;
    EXPECT_NEAR(golden.sums[i].renormalised, expected[2 * i + 1], 1e-5 * expected[2 * i + 1]) << i;
    EXPECT_LT(1.01 * golden.sums[i].mad, golden.sums[i].renormalised) << i;
  }
}

TEST(Distances, AreThoseOfTheDefinition) {
  TestVit vit;
  vit.image = 12;
  ExpectDistancesOfTheDefinition(vit, false, false);
  vit.distilled = true;
  ExpectDistancesOfTheDefinition(vit, true, false);
  TestDeepVit deep;
  deep.image = 12;
  ExpectDistancesOfTheDefinition(deep, false, true);
}

TEST(Distances, OfNetworksWithoutThemAreRefused) {
  const auto swin = CreateEvaluator(RandomSnapshot(TestSwin(), 5), Measuring("int8"));
  EXPECT_EQ(swin.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(swin.status().message(), HasSubstr("windows"));
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
  EvaluatorTuning whole;
  whole.reuse = false;
  EvaluatorTuning tight;
  tight.kept_bytes = 1;
  auto repeating = MakeEvaluator(snapshot_, Measuring("int8", 4, 3), whole);
  auto chunk_by_chunk = MakeEvaluator(snapshot_, Measuring("int8", 4, 1), tight);
  auto before = MakeEvaluator(snapshot_, Measuring("int8"));
  ExpectSame(GoldenOf(*before, images_.fold), golden);
  for (TorchEvaluator* other : {repeating.get(), chunk_by_chunk.get(), before.get()}) {
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
