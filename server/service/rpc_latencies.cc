#include "server/service/rpc_latencies.h"

#include <grpcpp/support/server_interceptor.h>

#include <deque>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "bitquake/v1/campaign.pb.h"
#include "bitquake/v1/worker.pb.h"
#include "common/base/clock.h"

namespace bitquake {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::ServerRpcInfo;

// Of long polls, which may wait a minute, and of those that answer at once.
const prometheus::Histogram::BucketBoundaries kSeconds = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

class CallTimer final : public grpc::experimental::Interceptor {
 public:
  CallTimer(prometheus::Histogram* histogram, bool answers_each)
      : histogram_(histogram), answers_each_(answers_each) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE) &&
        batch->GetRecvMessage() != nullptr) {
      absl::MutexLock lock(&mutex_);
      asked_.push_back(SystemClock().Monotonic());
    }
    if (batch->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_MESSAGE) ||
        (batch->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS) &&
         !answers_each_)) {
      CountAnswer();
    }
    batch->Proceed();
  }

 private:
  // Answers come in the order of what they answer; what is left unanswered was refused as a whole.
  void CountAnswer() {
    absl::MutexLock lock(&mutex_);
    if (!asked_.empty()) {
      histogram_->Observe(absl::ToDoubleSeconds(SystemClock().Monotonic() - asked_.front()));
      asked_.pop_front();
    }
  }

  prometheus::Histogram* const histogram_;
  const bool answers_each_;  // message of the client's, and not the call
  absl::Mutex mutex_;        // a stream reads and writes at once
  std::deque<absl::Duration> asked_ ABSL_GUARDED_BY(mutex_);
};

class CallTimers final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CallTimers(std::map<std::string, prometheus::Histogram>* by_path) : by_path_(by_path) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override {
    const auto found = by_path_->find(info->method());
    return found == by_path_->end()
               ? nullptr
               : new CallTimer(&found->second, info->type() == ServerRpcInfo::Type::BIDI_STREAMING);
  }

 private:
  std::map<std::string, prometheus::Histogram>* const by_path_;  // its keys never change
};

}  // namespace

RpcLatencies::RpcLatencies() {
  for (const auto* file :
       {v1::CampaignStatus::descriptor()->file(), v1::OutcomeReport::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        by_path_.try_emplace(absl::StrCat("/", file->service(s)->full_name(), "/",
                                          file->service(s)->method(m)->name()),
                             kSeconds);
      }
    }
  }
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
RpcLatencies::Interceptors() {
  return std::make_unique<CallTimers>(&by_path_);
}

std::map<std::string, prometheus::ClientMetric> RpcLatencies::Collect() const {
  std::map<std::string, prometheus::ClientMetric> by_method;
  for (const auto& [path, histogram] : by_path_) {
    by_method[path.substr(path.rfind('/') + 1)] = histogram.Collect();
  }
  return by_method;
}

}  // namespace bitquake
