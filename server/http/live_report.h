// The report of one campaign while people look at it: computed once for all of them, at most once a
// second, and told as changes.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/report/page/page.h"
#include "server/scheduler/coordinator.h"

namespace bitquake {

// What follows a version of a report. Each has all that the ones before it lead to.
struct ReportChange {
  enum class Kind {
    kNone,    // nothing in the time that was given
    kChange,  // `json` leads from the version asked about to `version`
    kReload,  // too much has happened since: the page is to be fetched anew
    kEnd,     // the campaign has ended, and nothing will follow
  };
  Kind kind = Kind::kNone;
  std::string version;
  std::string json;
};

// Whoever asks first when something has changed computes the report; the others wait for it. Above
// a second, the time between two computations is four times what one took, so that a large
// campaign's report leaves time for its work. Thread-safe.
class LiveReport : public std::enable_shared_from_this<LiveReport> {
 public:
  // `coordinator` and `clock` must outlive it. `epoch` tells its versions from those of others.
  LiveReport(Coordinator* coordinator, std::string database, std::string campaign,
             const Clock* clock, std::string epoch);

  // The campaign's page now, that goes on with `events`. Errors: NotFound; those of the store.
  absl::StatusOr<std::string> Page(const std::string& events);

  // While there is one, the coordinator tells of changes. Next waits for what follows `version`, at
  // most `patience`. Errors: Unavailable once stopped; those of the store.
  class Listener {
   public:
    explicit Listener(std::shared_ptr<LiveReport> report);
    ~Listener();
    Listener(const Listener&) = delete;
    absl::StatusOr<ReportChange> Next(const std::string& version, absl::Duration patience);

   private:
    const std::shared_ptr<LiveReport> report_;
  };

  int listeners() const;
  // All who wait, and who will, get Unavailable.
  void Stop();

 private:
  struct State {
    int64_t number = 0;
    CampaignReport report;  // without its cells
    PageData data;
  };
  struct Change {
    int64_t to = 0;
    std::string json;
  };

  std::string Version(int64_t number) const;
  void Watch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Take(const absl::StatusOr<CampaignSnapshot>& snapshot);
  absl::StatusOr<CampaignSnapshot> AskSnapshot();
  // Computes the state of `snapshot` without the lock, and takes it in.
  void Compute(const CampaignSnapshot& snapshot);
  void Publish(std::shared_ptr<State> next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What is known to follow; kNone if nothing is.
  ReportChange After(const std::string& version) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Coordinator* const coordinator_;
  const std::string database_;
  const std::string campaign_;
  const Clock* const clock_;
  const std::string epoch_;

  mutable absl::Mutex mutex_;
  int listeners_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t watch_ ABSL_GUARDED_BY(mutex_) = 0;  // the coordinator's number; 0: none
  bool dirty_ ABSL_GUARDED_BY(mutex_) = true;  // something changed since the last computation
  bool computing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration due_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  CampaignSnapshot told_ ABSL_GUARDED_BY(mutex_);  // last, by the watch
  absl::Status error_ ABSL_GUARDED_BY(mutex_);     // of the watch, or the last computation
  std::shared_ptr<const State> state_ ABSL_GUARDED_BY(mutex_);
  std::deque<Change> changes_ ABSL_GUARDED_BY(mutex_);  // the latest, each from the one before
};

}  // namespace bitquake
