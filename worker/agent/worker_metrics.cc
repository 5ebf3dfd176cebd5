#include "worker/agent/worker_metrics.h"

#include "common/base/build_info.h"
#include "common/http/metric_families.h"

namespace bitquake {

std::vector<prometheus::MetricFamily> WorkerMetrics::Collect() const {
  const auto counter = prometheus::MetricType::Counter;
  const auto gauge = prometheus::MetricType::Gauge;
  const WorkerCounts counts = sources_.figures->counts();
  MetricFamilies families;
  families
      .Family("build_info", "Version of the program, and the device that it computes on.", gauge)
      .Sample(
          1,
          {{"version", kVersion}, {"component", "worker"}, {"device_kind", sources_.device_kind}});
  families.Family("images_total", "Image outcomes computed, without and with faults.", counter)
      .Sample(static_cast<double>(counts.images));
  families.Family("inferences_total", "Images that trials really ran.", counter)
      .Sample(static_cast<double>(counts.inferences));
  families.Family("stage_seconds", "Time spent by stage of the work, and how many times.",
                  prometheus::MetricType::Summary);
  for (size_t stage = 0; stage < counts.stages.size(); ++stage) {
    families.Sample(counts.stages[stage].times, absl::ToDoubleSeconds(counts.stages[stage].time),
                    {{"stage", kStageNames[stage]}});
  }
  families
      .Family("canary_failures_total", "Proofs of weights and computations that failed.", counter)
      .Sample(static_cast<double>(counts.failed_proofs));
  families.Family("spool_reports", "Reports that the coordinator has not acknowledged.", gauge)
      .Sample(static_cast<double>(sources_.unacknowledged()));
  families
      .Family("spool_corrupt_records_total", "Records of the spool whose checksum failed.", counter)
      .Sample(static_cast<double>(sources_.corrupt_records()));
  if (const std::optional<DeviceMemory> memory = sources_.device_memory(); memory.has_value()) {
    families
        .Family("gpu_memory_used_bytes", "Memory of the device in use, by all processes.", gauge)
        .Sample(static_cast<double>(memory->used));
    families.Family("gpu_memory_total_bytes", "Memory of the device.", gauge)
        .Sample(static_cast<double>(memory->total));
  }
  return families.Take();
}

}  // namespace bitquake
