#include "common/http/metric_families.h"

#include <algorithm>

namespace bitquake {

MetricFamilies& MetricFamilies::Family(const std::string& name, const std::string& help,
                                       prometheus::MetricType type) {
  families_.push_back({"bitquake_" + name, help, type, {}});
  return *this;
}

MetricFamilies& MetricFamilies::Sample(double value, const Labels& labels) {
  prometheus::ClientMetric metric;
  if (families_.back().type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return Sample(std::move(metric), labels);
}

MetricFamilies& MetricFamilies::Sample(int64_t count, double sum, const Labels& labels) {
  prometheus::ClientMetric metric;
  metric.summary.sample_count = static_cast<uint64_t>(count);
  metric.summary.sample_sum = sum;
  return Sample(std::move(metric), labels);
}

MetricFamilies& MetricFamilies::Sample(prometheus::ClientMetric metric, const Labels& labels) {
  for (const auto& [name, text] : labels) {
    metric.label.push_back({name, text});
  }
  families_.back().metric.push_back(std::move(metric));
  return *this;
}

std::vector<prometheus::MetricFamily> MetricFamilies::Take() {
  families_.erase(std::remove_if(families_.begin(), families_.end(),
                                 [](const auto& family) { return family.metric.empty(); }),
                  families_.end());
  return std::move(families_);
}

}  // namespace bitquake
