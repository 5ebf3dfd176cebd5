// How often each of many peers may do something: a token bucket for each.
#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"

namespace bitquake {

// Thread-safe.
class RateLimit {
 public:
  // `burst` at once, then `per_second`. `clock` must outlive it.
  RateLimit(const Clock* clock, double burst, double per_second)
      : clock_(clock), burst_(burst), per_second_(per_second) {}

  // ResourceExhausted, that says how long to wait, if `peer` was here too often.
  absl::Status Admit(const std::string& peer);

  // How many are remembered.
  size_t peers() const;

 private:
  struct Bucket {
    double level = 0;  // what is used of the burst, at `time`
    absl::Duration time;
  };
  double LevelNow(const Bucket& bucket, absl::Duration now) const;

  const Clock* const clock_;
  const double burst_;
  const double per_second_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Bucket> buckets_ ABSL_GUARDED_BY(mutex_);
};

// A call's origin without its port: "ipv4:10.0.0.7:41822" -> "ipv4:10.0.0.7".
std::string HostOfPeer(const std::string& peer);

}  // namespace bitquake
