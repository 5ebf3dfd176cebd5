#include "worker/agent/worker_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class WorkerMetricsTest : public ::testing::Test {
 protected:
  std::string Text() {
    WorkerSources sources;
    sources.figures = &figures_;
    sources.unacknowledged = [] { return size_t{7}; };
    sources.corrupt_records = [] { return int64_t{3}; };
    sources.device_memory = [this] { return memory_; };
    sources.device_kind = "abacus";
    return prometheus::TextSerializer().Serialize(WorkerMetrics(std::move(sources)).Collect());
  }

  WorkerFigures figures_;
  std::optional<DeviceMemory> memory_;
};

TEST_F(WorkerMetricsTest, SayWhatWasDoneAndWhereTheTimeWent) {
  figures_.AddImages(30, 20);
  figures_.AddImages(3, 2);
  figures_.CountFailedProof();
  figures_.AddTime(Stage::kInfer, absl::Milliseconds(1500));
  figures_.AddTime(Stage::kInfer, absl::Seconds(1));
  figures_.AddTime(Stage::kUndo, absl::Milliseconds(250));
  EXPECT_THAT(Text(), AllOf(HasSubstr("\nbitquake_images_total 33\n"),
                            HasSubstr("\nbitquake_inferences_total 22\n"),
                            HasSubstr("\nbitquake_canary_failures_total 1\n"),
                            HasSubstr("\nbitquake_spool_reports 7\n"),
                            HasSubstr("\n# TYPE bitquake_stage_seconds summary\n"),
                            HasSubstr("\nbitquake_stage_seconds_sum{stage=\"infer\"} 2.5\n"),
                            HasSubstr("\nbitquake_stage_seconds_count{stage=\"infer\"} 2\n"),
                            HasSubstr("\nbitquake_stage_seconds_sum{stage=\"undo\"} 0.25\n"),
                            HasSubstr("\nbitquake_stage_seconds_sum{stage=\"load\"} 0\n"),
                            HasSubstr("component=\"worker\",device_kind=\"abacus\"")));
}

TEST_F(WorkerMetricsTest, HaveTheMemoryOfADeviceWithMemoryOfItsOwn) {
  EXPECT_THAT(Text(), Not(HasSubstr("gpu_memory")));
  memory_ = DeviceMemory{1'000'000'001, 80'000'000'000};
  EXPECT_THAT(Text(), AllOf(HasSubstr("\nbitquake_gpu_memory_used_bytes 1000000001\n"),
                            HasSubstr("\nbitquake_gpu_memory_total_bytes 80000000000\n")));
}

}  // namespace
}  // namespace bitquake
