// Many workers in one process, against a real coordinator: what it can bear. Prints JSON.
//
//   fake_workers --server 127.0.0.1:50551 --workers 1000 --model deploy/demo/models/... --seconds
//   20
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "nlohmann/json.hpp"
#include "tests/bench/scale/fake_worker.h"

namespace bitquake {
namespace {

struct Flags {
  std::string server;
  std::string model;
  int workers = 1;
  double rate = 0;
  double seconds = 20;
  int64_t outcomes = 0;
};

// Null if nothing was measured.
nlohmann::json Quantile(std::vector<float>& values, double q) {
  if (values.empty()) {
    return nullptr;
  }
  const auto at =
      values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

int Run(const Flags& flags) {
  const absl::StatusOr<ModelSnapshot> snapshot = OpenSnapshot(flags.model);
  if (!snapshot.ok()) {
    std::cerr << "fake_workers: " << snapshot.status().message() << "\n";
    return 1;
  }
  const SystemClock clock;
  Tally tally(&clock);
  std::vector<std::unique_ptr<FakeWorker>> workers;
  for (int i = 0; i < flags.workers; ++i) {
    FakeWorkerOptions options;
    options.id = absl::StrCat("fake-", i);
    if (flags.rate > 0) {
      options.between_reports = absl::Seconds(flags.workers / flags.rate);
      options.first_report = options.between_reports * i / flags.workers;
    }
    workers.push_back(std::make_unique<FakeWorker>(flags.server, &*snapshot, &tally, options));
  }
  const absl::Duration begun = tally.now();
  for (const auto& worker : workers) {
    worker->Start();
  }
  const int64_t endless = std::numeric_limits<int64_t>::max();
  tally.Await(flags.outcomes > 0 ? flags.outcomes : endless,
              flags.seconds > 0 ? absl::Seconds(flags.seconds) : absl::InfiniteDuration());
  Tally::Figures figures = tally.figures();
  const double seconds = absl::ToDoubleSeconds(tally.now() - figures.first_trial);
  const std::string error = tally.error();
  for (const auto& worker : workers) {
    worker->Stop();
  }
  std::cout << nlohmann::json{{"workers", flags.workers},
                              {"outcomes", figures.outcomes},
                              {"seconds", seconds},
                              {"jobs_per_second", static_cast<double>(figures.outcomes) / seconds},
                              {"start_s", absl::ToDoubleSeconds(figures.last_begun - begun)},
                              {"leases", figures.lease_ms.size()},
                              {"lease_p50_ms", Quantile(figures.lease_ms, 0.5)},
                              {"lease_p99_ms", Quantile(figures.lease_ms, 0.99)},
                              {"report_p50_ms", Quantile(figures.report_ms, 0.5)},
                              {"report_p99_ms", Quantile(figures.report_ms, 0.99)},
                              {"error", error}}
                   .dump()
            << std::endl;
  return error.empty() ? 0 : 1;
}

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as the server does
  bitquake::Flags flags;
  CLI::App app("Workers that compute nothing, for the coordinator to serve.");
  app.add_option("--server", flags.server, "HOST:PORT or unix:PATH")->required();
  app.add_option("--model", flags.model, "model folder, for what a probe reports")->required();
  app.add_option("--workers", flags.workers)->check(CLI::Range(1, 100'000))->capture_default_str();
  app.add_option("--rate", flags.rate, "jobs/s of all together; 0: as fast as they are leased")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seconds", flags.seconds, "from the first trial on; 0: without end")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--outcomes", flags.outcomes, "end after so many trials' outcomes; 0: go on")
      ->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  return bitquake::Run(flags);
}
