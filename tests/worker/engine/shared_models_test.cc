// Trained models against the golden files that timm computed for them. Built where the shared
// material lies beside the checkout. All images of the large model take minutes:
// BITQUAKE_TEST_IMAGES sets how many are seen.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "absl/strings/numbers.h"
#include "common/model/snapshot.h"
#include "tests/model/test_snapshot.h"
#include "worker/data/dataset.h"
#include "worker/data/pixel_cache.h"
#include "worker/engine/torch_evaluator.h"

namespace bitquake {
namespace {

const std::string kShared = std::string(BITQUAKE_SOURCE_DIR) + "/../shared";

struct Case {
  const char* model;
  const char* data;
  int images;  // of the data set's first
  double fp32_top1;
  double int8_top1;
};

std::vector<int16_t> Int16s(const StoredTensor& tensor) {
  std::vector<int16_t> values(tensor.elements());
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

class SharedModels : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    images_ = GetParam().images;
    if (const char* images = std::getenv("BITQUAKE_TEST_IMAGES")) {
      ASSERT_TRUE(absl::SimpleAtoi(images, &images_));
    }
    const std::string folder = kShared + "/models/" + GetParam().model;
    auto snapshot = OpenSnapshot(folder);
    ASSERT_TRUE(snapshot.ok()) << snapshot.status();
    snapshot_ = *std::move(snapshot);
    auto golden = SafetensorsFile::Open(folder + "/golden.safetensors");
    ASSERT_TRUE(golden.ok()) << golden.status();
    golden_ = *std::move(golden);

    const std::string data = kShared + "/data/" + GetParam().data;
    auto dataset = Dataset::Open(data);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    PixelCacheOptions options;
    options.folder = NewFolder();
    options.threads = 2;
    auto cache =
        PixelCache::OpenOrBuild(*dataset, "test", snapshot_.architecture.preprocessing, options);
    ASSERT_TRUE(cache.ok()) << cache.status();
    cache_ = *std::move(cache);
    for (int i = 0; i < images_; ++i) {
      fold_.pixels.push_back(cache_->Pixels(i)->data());
      fold_.labels.push_back(dataset->samples()[i].label);
    }
    const std::vector<int16_t> labels = Int16s(*golden_.Find("labels"));
    ASSERT_TRUE(std::equal(fold_.labels.begin(), fold_.labels.end(), labels.begin()));
  }

  std::unique_ptr<TorchEvaluator> Make(const char* format) {
    EvaluatorOptions options;
    options.format = NumberFormat::FromName(format).value();
    options.chunk = ChooseChunk(snapshot_, {}, 1000).value();
    options.threads = 2;
    options.allow_torchscript = true;
    return TorchEvaluator::Create(snapshot_, options).value();
  }

  int images_ = 0;
  ModelSnapshot snapshot_;
  SafetensorsFile golden_;
  std::unique_ptr<PixelCache> cache_;
  FoldImages fold_;
};

TEST_P(SharedModels, Fp32PredictsAsTimm) {
  auto evaluator = Make("fp32");
  auto outcome = evaluator->Golden(fold_);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  const std::vector<int16_t> expected = Int16s(*golden_.Find("argmax"));
  int agreeing = 0;
  for (int i = 0; i < images_; ++i) {
    agreeing += outcome->predictions[i] == expected[i];
  }
  const double top1 = 100.0 * static_cast<double>(outcome->top1) / images_;
  RecordProperty("agreeing", agreeing);
  std::cout << "agreeing " << agreeing << " of " << images_ << ", top-1 " << top1 << "\n";
  EXPECT_GE(agreeing, images_ - images_ / 2000);  // 9,995 of 10,000
  if (images_ == 10'000) {
    EXPECT_NEAR(top1, GetParam().fp32_top1, 0.02);
  }

  FoldImages first = fold_;
  first.fold = 1;
  first.pixels.resize(256);
  first.labels.resize(256);
  const at::Tensor logits = evaluator->Logits(first).value();
  const std::vector<float> timm = ToFloat(*golden_.Find("logits")).value();
  ASSERT_EQ(logits.numel(), static_cast<int64_t>(timm.size()));
  double largest = 0;
  double difference = 0;
  for (size_t i = 0; i < timm.size(); ++i) {
    largest = std::max<double>(largest, std::fabs(timm[i]));
    difference =
        std::max<double>(difference, std::fabs(logits.const_data_ptr<float>()[i] - timm[i]));
  }
  std::cout << "logits up to " << largest << " differ by at most " << difference << "\n";
  EXPECT_LE(difference, 1e-4 * largest);
}

TEST_P(SharedModels, Int8HasItsKnownAccuracy) {
  auto evaluator = Make("int8");
  auto outcome = evaluator->Golden(fold_);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  const double top1 = 100.0 * static_cast<double>(outcome->top1) / images_;
  std::cout << "top-1 " << top1 << "\n";
  EXPECT_NEAR(top1, GetParam().int8_top1, images_ == 10'000 ? 0.02 : 5.0);
}

INSTANTIATE_TEST_SUITE_P(
    All, SharedModels,
    ::testing::Values(
        Case{"vit_tiny_patch4_28.fashion_mnist", "fashion-mnist", 10'000, 92.10, 92.17},
        Case{"vit_tiny_patch4_clip_28.fashion_mnist", "fashion-mnist", 10'000, 92.20, 92.22},
        Case{"swin_tiny_patch2_window7_28.fashion_mnist", "fashion-mnist", 10'000, 89.43, 89.45},
        Case{"deepvit_tiny_patch4_28.fashion_mnist", "fashion-mnist", 10'000, 84.22, 84.25},
        Case{"resnet_tiny_28.fashion_mnist", "fashion-mnist", 10'000, 92.48, 92.47},
        Case{"vit_small_patch8_64.tiny_imagenet", "tiny-imagenet", 1'000, 46.33, 46.30}),
    [](const auto& info) {
      std::string name = info.param.model;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return c == '.'; }, '_');
      return name;
    });

}  // namespace
}  // namespace bitquake
