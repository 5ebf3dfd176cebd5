// The coordinator's figures as Prometheus metrics, gathered when they are asked for.
//
// A scrape never waits long for the writer: what the scheduler knows is left out when the writer
// does not answer in time (bitquake_scheduler_answers says so), and the rest comes all the same.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "prometheus/client_metric.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "server/scheduler/coordinator.h"

namespace bitquake {

// What the figures come from; called from any thread.
struct CoordinatorSources {
  Coordinator* coordinator = nullptr;  // must outlive the metrics
  std::string database;                // whose sizes are told
  // Histograms in seconds of how long calls took, by method.
  std::function<std::map<std::string, prometheus::ClientMetric>()> rpcs;
};

class CoordinatorMetrics final : public prometheus::Collectable {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(2);

  explicit CoordinatorMetrics(CoordinatorSources sources) : sources_(std::move(sources)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const CoordinatorSources sources_;
};

}  // namespace bitquake
