// What is ready to be leased of a campaign, batch by batch, in the orders in which leases ask for
// it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "server/scheduler/work.h"

namespace bitquake {

// A batch with jobs that may be leased now.
struct ReadyBatch {
  struct Job {
    int64_t id = 0;
    int failures = 0;
    int losses = 0;
    bool suspect() const { return failures + losses > 0; }
  };

  int64_t id = 0;
  int64_t variant = 0;
  JobKind kind = JobKind::kProbe;
  int fold = 0;
  bool comparable = false;  // not trials, or golden is known to compare with
  int64_t ready = 0;
  // The ready ones, in the order in which they are leased: suspects first. Read when first needed.
  std::optional<std::vector<Job>> jobs;
};

// Thread-compatible. The time of each call grows with the logarithm of the number of batches.
class ReadyBatches {
 public:
  // Jobs, also of those that must wait for golden.
  int64_t jobs() const { return jobs_; }
  // 0 if there is no batch.
  int64_t last_id() const { return by_id_.empty() ? 0 : by_id_.rbegin()->first; }

  void Add(ReadyBatch batch);
  // Null if there is none that is comparable. Probes before golden runs before trials; of those, a
  // batch of `variant` before others, and the oldest of them.
  const ReadyBatch* First(int64_t variant) const;
  // Comparable ones of the kind and variant of batch `id`, at most `most`: it, then those of its
  // fold, then fold by fold; the oldest first. They stay valid until they are removed.
  std::vector<ReadyBatch*> Alike(int64_t id, size_t most);
  // So many jobs of the batch were leased; it is removed if none is left.
  void Leased(int64_t id, int64_t jobs);

 private:
  using Oldest = std::set<std::tuple<JobKind, int64_t>>;                // kind, id
  using OfVariant = std::set<std::tuple<JobKind, int64_t, int64_t>>;    // kind, variant, id
  using OfFold = std::set<std::tuple<JobKind, int64_t, int, int64_t>>;  // kind, variant, fold, id

  std::map<int64_t, ReadyBatch> by_id_;
  int64_t jobs_ = 0;
  // Of those that are comparable:
  Oldest oldest_;
  OfVariant of_variant_;
  OfFold of_fold_;
};

}  // namespace bitquake
