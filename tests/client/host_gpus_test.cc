#include "client/cli/host_gpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace bitquake {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HostGpusTest : public ::testing::Test {
 protected:
  HostGpusTest() { fs::create_directories(driver_); }
  ~HostGpusTest() override { fs::remove_all(driver_); }

  void Write(const std::string& file, const std::string& text) {
    fs::create_directories((driver_ / file).parent_path());
    std::ofstream(driver_ / file) << text;
  }

  const fs::path driver_ = fs::path(::testing::TempDir()) /
                           ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(HostGpusTest, AHostWithoutADriverHasNone) {
  EXPECT_THAT(HostGpus(driver_ / "absent"), IsEmpty());
  EXPECT_THAT(HostGpus(driver_), IsEmpty());
  EXPECT_EQ(GpuDriverVersion(driver_), "");
}

TEST_F(HostGpusTest, ModelsAreInTheOrderOfTheBus) {
  Write("gpus/0000:9b:00.0/information", "Model: \t\t NVIDIA A100 80GB PCIe\nIRQ: 1\n");
  Write("gpus/0000:1a:00.0/information", "Model: \t\t NVIDIA H200\nIRQ:   \t\t 482\n");
  Write("gpus/0000:c1:00.0/information", "");
  EXPECT_THAT(HostGpus(driver_),
              ElementsAre("NVIDIA H200", "NVIDIA A100 80GB PCIe", "0000:c1:00.0"));
}

TEST_F(HostGpusTest, TheDriversVersionIsTheWordOfNumbers) {
  Write("version",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (x)\n"
        "GCC version:  gcc version 12.2.0\n");
  EXPECT_EQ(GpuDriverVersion(driver_), "580.159.04");
}

TEST(UnusedGpusText, SaysHowToUseThem) {
  EXPECT_EQ(UnusedGpusText({}), "");
  EXPECT_EQ(UnusedGpusText({"NVIDIA H200"}),
            "computes on the CPU; this host has NVIDIA H200: --device cuda");
  EXPECT_EQ(
      UnusedGpusText({"NVIDIA H200", "NVIDIA H200"}),
      "computes on the CPU; this host has NVIDIA H200, NVIDIA H200: --device cuda --workers 2");
}

}  // namespace
}  // namespace bitquake
