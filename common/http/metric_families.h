// Puts a program's figures together as Prometheus metrics:
//
//   MetricFamilies families;
//   families.Family("workers", "Workers by state.", prometheus::MetricType::Gauge)
//       .Sample(live, {{"state", "live"}});
//   return families.Take();
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "prometheus/client_metric.h"
#include "prometheus/metric_family.h"

namespace bitquake {

class MetricFamilies {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  // Starts a family named bitquake_`name`; its samples follow.
  MetricFamilies& Family(const std::string& name, const std::string& help,
                         prometheus::MetricType type);
  // Of a counter or a gauge.
  MetricFamilies& Sample(double value, const Labels& labels = {});
  // Of a summary: how often, and the sum of what was measured.
  MetricFamilies& Sample(int64_t count, double sum, const Labels& labels);
  // Of any family, as the library counted it.
  MetricFamilies& Sample(prometheus::ClientMetric metric, const Labels& labels);

  // Those with samples.
  std::vector<prometheus::MetricFamily> Take();

 private:
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace bitquake
