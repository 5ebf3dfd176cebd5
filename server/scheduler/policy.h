// The scheduler's decisions as pure functions of plain values.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace bitquake {

struct SchedulerOptions {
  absl::Duration lease = absl::Seconds(60);       // not renewed for so long, a lease ends
  absl::Duration lease_work = absl::Seconds(20);  // how much work a lease should hold
  int64_t max_lease_jobs = 4096;
  int64_t ready_jobs = 2048;    // more are made when a campaign has fewer than this
  int64_t pairs_per_wave = 64;  // (cell, trial) pairs whose jobs are made together
  int max_failures = 3;         // a job that workers report as failed this often is poisoned
  int max_losses = 5;           // one whose leases were lost more often, the last alone, is too
  absl::Duration first_retry = absl::Seconds(1);  // doubles with every failure
};

// How many jobs a lease should hold, so that they are done in `lease_work`, and in `lease` whatever
// that says. `images_per_second` is the worker's speed on this model, 0 if unknown: then a small
// lease measures it. No worker takes more than a fair part of what is ready.
int64_t LeaseJobs(const SchedulerOptions& options, double images_per_second, double images_per_job,
                  int64_t ready_jobs, int live_workers);

// So many jobs, but (before Spread) at most twice as many as the worker's last lease held (0 if it
// had none). Many workers that begin together would otherwise ask for most of their work in the
// same second.
int64_t Grown(int64_t jobs, int64_t last_jobs, int live_workers);

// So many jobs, up to a quarter more or less, by the lease's number. Many workers that begin
// together would otherwise come back together, each time.
int64_t Spread(int64_t jobs, int64_t lease, int live_workers);

// The most jobs in a lease of suspects: jobs that failed, or whose lease was lost, so often.
int64_t SuspectLeaseJobs(int failures, int losses);

// How many jobs should be ready, so that the fair part of each worker is worth the golden pass that
// its jobs share.
int64_t ReadyJobs(const SchedulerOptions& options, int live_workers);

// The speed after a lease of `images` in `elapsed`: the time of an image is an exponentially
// weighted mean (0.5) with what was known, so that one quick lease at most doubles the speed.
double UpdatedSpeed(double images_per_second, int64_t images, absl::Duration elapsed);

// Over how long so many workers should spread that come back after the coordinator was away, so
// that a restart is no burst.
absl::Duration RetryWindow(int live_workers);

// How long a job waits after its n-th failure (n from 1).
absl::Duration RetryDelay(const SchedulerOptions& options, int failures);

}  // namespace bitquake
