// The coordinator's figures as Prometheus metrics, gathered when they are asked for.
#pragma once

#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "server/scheduler/coordinator.h"

namespace bitquake {

class CoordinatorMetrics final : public prometheus::Collectable {
 public:
  // `coordinator` must outlive it.
  explicit CoordinatorMetrics(Coordinator* coordinator) : coordinator_(coordinator) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Coordinator* const coordinator_;
};

}  // namespace bitquake
