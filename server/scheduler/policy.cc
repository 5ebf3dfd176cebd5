#include "server/scheduler/policy.h"

#include <algorithm>
#include <cmath>

namespace bitquake {
namespace {

constexpr int64_t kJobsAtUnknownSpeed = 4;
constexpr int kMany = 32;  // workers, which together could burden the coordinator

}  // namespace

int64_t LeaseJobs(const SchedulerOptions& options, double images_per_second, double images_per_job,
                  int64_t ready_jobs, int live_workers) {
  int64_t jobs = kJobsAtUnknownSpeed;
  if (images_per_second > 0 && images_per_job > 0) {
    const absl::Duration time = std::min(options.lease_work, options.lease);
    const double wanted = images_per_second * absl::ToDoubleSeconds(time) / images_per_job;
    jobs = static_cast<int64_t>(std::min(wanted, static_cast<double>(options.max_lease_jobs)));
  }
  const int64_t fair = ready_jobs / std::max(1, 2 * live_workers) + 1;
  return std::clamp<int64_t>(std::min(jobs, fair), 1, options.max_lease_jobs);
}

int64_t Grown(int64_t jobs, int64_t last_jobs, int live_workers) {
  return live_workers < kMany ? jobs
                              : std::min(jobs, std::max(2 * last_jobs, kJobsAtUnknownSpeed));
}

int64_t Spread(int64_t jobs, int64_t lease, int live_workers) {
  if (live_workers < kMany) {
    return jobs;
  }
  // Multiples of the golden ratio are evenly spread, and neighbours far apart.
  const double whole = static_cast<double>(lease) * 0.6180339887498949;
  const double part = whole - std::floor(whole);
  return std::max<int64_t>(1, std::llround(static_cast<double>(jobs) * (0.75 + part / 2)));
}

int64_t ReadyJobs(const SchedulerOptions& options, int live_workers) {
  constexpr int64_t kForEachWorker = 64;  // of which it may take half
  return std::max(options.ready_jobs, kForEachWorker * live_workers);
}

int64_t SuspectLeaseJobs(int failures, int losses) {
  if (failures >= 2 || losses >= 3) {
    return 1;
  }
  return losses == 2 ? 8 : 64;
}

double UpdatedSpeed(double images_per_second, int64_t images, absl::Duration elapsed) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  if (images <= 0 || seconds <= 0) {
    return images_per_second;
  }
  const double now = static_cast<double>(images) / seconds;
  return images_per_second > 0 ? 2 / (1 / images_per_second + 1 / now) : now;
}

absl::Duration RetryWindow(int live_workers) {
  constexpr double kComeBackEachSecond = 200;
  return std::min(absl::Seconds(live_workers / kComeBackEachSecond), absl::Seconds(30));
}

absl::Duration RetryDelay(const SchedulerOptions& options, int failures) {
  return options.first_retry * std::exp2(std::clamp(failures - 1, 0, 10));
}

}  // namespace bitquake
