// Puts a program's figures together as Prometheus metrics:
//
//   MetricFamilies families;
//   families.Family("workers", "Workers by state.", prometheus::MetricType::Gauge)
//       .Sample(live, {{"state", "live"}});
//   return families.Take();
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "prometheus/metric_family.h"

namespace bitquake {

class MetricFamilies {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  // Starts a family, a counter or a gauge, named bitquake_`name`; its samples follow.
  MetricFamilies& Family(const std::string& name, const std::string& help,
                         prometheus::MetricType type);
  MetricFamilies& Sample(double value, const Labels& labels = {});

  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace bitquake
