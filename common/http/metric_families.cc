#include "common/http/metric_families.h"

namespace bitquake {

MetricFamilies& MetricFamilies::Family(const std::string& name, const std::string& help,
                                       prometheus::MetricType type) {
  families_.push_back({"bitquake_" + name, help, type, {}});
  return *this;
}

MetricFamilies& MetricFamilies::Sample(double value, const Labels& labels) {
  prometheus::ClientMetric metric;
  for (const auto& [name, text] : labels) {
    metric.label.push_back({name, text});
  }
  if (families_.back().type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  families_.back().metric.push_back(std::move(metric));
  return *this;
}

}  // namespace bitquake
