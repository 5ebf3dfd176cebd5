// What evaluators on a device are made of, on the CPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/worker/engine/fixtures.h"
#include "worker/engine/compute_device.h"
#include "worker/engine/fidelity.h"
#include "worker/engine/input.h"
#include "worker/engine/resident_pixels.h"
#include "worker/engine/word_memory.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

TEST(ComputeDevice, NamesThatAreNoDeviceAreRefused) {
  for (const char* name : {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:128", "cuda1", "CPU"}) {
    EXPECT_EQ(OpenDevice(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_TRUE(OpenDevice("cpu")->is_cpu());
}

TEST(ComputeMode, IsParsedByName) {
  EXPECT_EQ(ParseComputeMode("fp32", at::kCPU)->type, at::kFloat);
  EXPECT_EQ(ParseComputeMode("bf16", at::kCPU)->type, at::kBFloat16);
  EXPECT_EQ(ParseComputeMode("fp16", at::kCPU)->type, at::kHalf);
  EXPECT_TRUE(ParseComputeMode("tf32", at::kCUDA)->tf32);
  EXPECT_FALSE(ParseComputeMode("fp32", at::kCUDA)->tf32);
  EXPECT_THAT(ParseComputeMode("tf32", at::kCPU).status().message(), HasSubstr("CUDA devices"));
  EXPECT_THAT(ParseComputeMode("fp64", at::kCPU).status().message(), HasSubstr("'fp64'"));
}

// A device looks up what the host computed: the same numbers, bit for bit.
TEST(InputMaker, ADeviceMakesTheHostsInput) {
  const TestVit vit;
  const ModelSnapshot snapshot = RandomSnapshot(vit, 1);
  const TestImages images(vit, 3);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const InputMaker maker(snapshot.architecture.preprocessing, at::kCPU, type);
    const at::Tensor host = maker.Make(images.fold.pixels, 5);
    const at::Tensor device = maker.FromPixels(maker.UploadPixels(images.fold.pixels, 5));
    EXPECT_EQ(device.scalar_type(), type);
    EXPECT_TRUE(device.equal(host));
    EXPECT_TRUE(device[4].equal(device[3])) << "padding is black";
    EXPECT_FALSE(device[0].equal(device[1]));
  }
}

TEST(ResidentPixels, WhatWasUsedLongestAgoGoesFirst) {
  const auto chunk = [](int value) { return at::full({10}, value, at::kByte); };
  ResidentPixels pixels(/*budget=*/25);
  pixels.Keep(0, 0, chunk(1));
  pixels.Keep(0, 1, chunk(2));
  EXPECT_TRUE(pixels.Find(0, 0).equal(chunk(1)));
  pixels.Keep(7, 0, chunk(3));  // in the place of (0, 1)
  EXPECT_FALSE(pixels.Find(0, 1).defined());
  EXPECT_TRUE(pixels.Find(0, 0).equal(chunk(1)));
  EXPECT_TRUE(pixels.Find(7, 0).equal(chunk(3)));
  pixels.Keep(8, 0, at::zeros({26}, at::kByte));  // more than all
  EXPECT_FALSE(pixels.Find(8, 0).defined());
  EXPECT_TRUE(pixels.Find(7, 0).defined());
  pixels.Clear();
  EXPECT_FALSE(pixels.Find(7, 0).defined());
}

class WordMemoryTest : public ::testing::Test {
 protected:
  WordMemoryTest() : words_(Format("int8")) {
    SurfaceTensor tensor;
    tensor.name = "head.weight";
    tensor.shape = {2, 3};
    EXPECT_TRUE(words_.Add(tensor, {1.27f, -0.5f, 0, 0.01f, -1.27f, 0.3f}).ok());
  }

  StoredWords words_;  // 127, -50, 0, 1, -127, 30
  const FaultList flips_{{{0, {{0, 0x80}, {3, 0x06}}}}};
};

TEST_F(WordMemoryTest, PatchWritesTheFaultyValuesAndUndoTakesThemBack) {
  for (const bool integers : {false, true}) {
    WordMemory memory(&words_, at::kCPU, at::kFloat, {integers});
    const at::Tensor values = memory.values(0);
    const at::Tensor golden = values.clone();
    const float scale = integers ? 1 : words_.scales(0).values[0];
    const auto staged = memory.Stage(flips_);
    memory.Patch(staged);
    EXPECT_EQ(values[0][0].item<float>(), -1 * scale);
    EXPECT_EQ(values[1][0].item<float>(), 7 * scale);
    EXPECT_TRUE(values[0].narrow(0, 1, 2).equal(golden[0].narrow(0, 1, 2)));
    memory.Undo(staged);
    EXPECT_TRUE(values.equal(golden));
    EXPECT_TRUE(memory.Prove().ok());
  }
}

TEST_F(WordMemoryTest, APatchThatStandsIsFoundOut) {
  WordMemory memory(&words_, at::kCPU, at::kFloat, {false});
  memory.Patch(memory.Stage(flips_));
  EXPECT_THAT(memory.Prove().message(), HasSubstr("differ from those loaded"));
}

TEST_F(WordMemoryTest, WordsThatDoNotFlipAsTheyShouldAreFoundOut) {
  WordMemory memory(&words_, at::kCPU, at::kFloat, {false});
  const auto staged = memory.Stage(flips_);
  memory.Patch(staged);
  memory.Patch(staged);  // takes the first one back: nothing differs from golden's words
  memory.Undo(staged);
  memory.Undo(staged);
  EXPECT_THAT(memory.Prove().message(), HasSubstr("2 words on the device did not flip"));
  EXPECT_TRUE(memory.Prove().ok()) << "what was said is not said again";
}

TEST(Fidelity, OfHalvesIsHighAndCountsEveryImageOfEveryTrial) {
  const TestVit vit;
  const ModelSnapshot snapshot = RandomSnapshot(vit, 2418);
  const TestImages images(vit, 50);
  const NumberFormat int8 = Format("int8");
  const std::vector<FaultList> trials = {RandomFaults(snapshot, int8, 0, 5, 20, 1),
                                         RandomFaults(snapshot, int8, 0, 5, 20, 2)};
  EvaluatorOptions options;
  options.format = int8;
  options.chunk = 10;
  const auto measured = MeasureFidelity(snapshot, options, images.fold, trials);
  ASSERT_TRUE(measured.ok()) << measured.status();
  ASSERT_EQ(measured->size(), 2u);
  EXPECT_EQ((*measured)[0].compute, "bf16");
  EXPECT_EQ((*measured)[1].compute, "fp16");
  for (const Fidelity& fidelity : *measured) {
    EXPECT_EQ(fidelity.golden.images, 50);
    EXPECT_EQ(fidelity.faulty.images, 100);
    EXPECT_GT(fidelity.golden.same, 40);
    EXPECT_GT(fidelity.faulty.same, 75);
  }
}

}  // namespace
}  // namespace bitquake
