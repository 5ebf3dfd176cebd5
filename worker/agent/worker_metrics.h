// A worker's figures as Prometheus metrics, gathered when they are asked for.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "worker/agent/worker_figures.h"
#include "worker/engine/evaluator.h"

namespace bitquake {

// What the figures come from; called from any thread.
struct WorkerSources {
  const WorkerFigures* figures = nullptr;                      // must outlive the metrics
  std::function<size_t()> unacknowledged;                      // reports that are kept
  std::function<int64_t()> corrupt_records;                    // found in the spool
  std::function<std::optional<DeviceMemory>()> device_memory;  // none of a CPU
  std::string device_kind;
};

class WorkerMetrics final : public prometheus::Collectable {
 public:
  explicit WorkerMetrics(WorkerSources sources) : sources_(std::move(sources)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const WorkerSources sources_;
};

}  // namespace bitquake
