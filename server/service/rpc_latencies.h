// How long calls wait for their answers, by method, as Prometheus keeps histograms.
//
// Counted is the time from a message of the client's to the answer to it: of a call with one
// request, to its reply, its first result or its error; of StreamOutcomes, from each report to its
// acknowledgement, that is, to its commit. LeaseJobs waits until there is work, so its time says
// what the coordinator needs only where there is some.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "prometheus/client_metric.h"
#include "prometheus/histogram.h"

namespace grpc::experimental {
class ServerInterceptorFactoryInterface;
}

namespace bitquake {

class RpcLatencies {  // thread-safe
 public:
  RpcLatencies();  // of the methods of both services; other calls are not counted
  RpcLatencies(const RpcLatencies&) = delete;

  // What a server must call for each call, for as long as this object lives.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> Interceptors();

  // Histograms in seconds by method, as in "LeaseJobs".
  std::map<std::string, prometheus::ClientMetric> Collect() const;

 private:
  std::map<std::string, prometheus::Histogram> by_path_;  // "/bitquake.v1.WorkerService/LeaseJobs"
};

}  // namespace bitquake
