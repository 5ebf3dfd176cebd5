// A coordinator on a store of its own with a clock that tests turn, and workers that answer as
// told.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/base/clock.h"
#include "server/scheduler/coordinator.h"
#include "server/store/database.h"

namespace bitquake {

class FakeClock : public Clock {
 public:
  absl::Duration Monotonic() const override { return absl::Nanoseconds(nanoseconds_.load()); }
  absl::Time Wall() const override { return absl::FromUnixSeconds(1'700'000'000) + Monotonic(); }
  void Advance(absl::Duration time) { nanoseconds_ += absl::ToInt64Nanoseconds(time); }

 private:
  std::atomic<int64_t> nanoseconds_{1'000'000'000};
};

// Removed with all that is in it.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = testing::TempDir() + "/bq-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A reply that may still be on its way. Copies share it.
template <typename T>
class Pending {
 public:
  // The callback to give away.
  auto Callback() {
    return [state = state_](absl::StatusOr<T> value) {
      state->value = std::move(value);
      state->done.Notify();
    };
  }
  // Waits. DeadlineExceeded where a reply is never sent: a failure, not a test that hangs.
  absl::StatusOr<T> Get() {
    if (!state_->done.WaitForNotificationWithTimeout(absl::Seconds(60))) {
      return absl::DeadlineExceededError("no reply");
    }
    return std::move(state_->value);
  }
  bool arrived() const { return state_->done.HasBeenNotified(); }

 private:
  struct State {
    absl::Notification done;
    absl::StatusOr<T> value;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// A small campaign: one model in int8 (and in fp32, as the reference), two cells, two trials, two
// folds. So one probe, four golden jobs and eight trial jobs.
inline constexpr char kSmallCampaign[] =
    "name: small\nmodels: [vit]\ndataset: set\nformats: [int8]\ngranularities: [model]\n"
    "ber: [1e-6, 1e-3]\ntrials: 2\nfolds: 2\n";
// The same, with all details kept: images, and attention distances (of 3 blocks of 2 heads).
inline constexpr char kKeepingCampaign[] =
    "name: small\nmodels: [vit]\ndataset: set\nformats: [int8]\ngranularities: [model]\n"
    "ber: [1e-6, 1e-3]\ntrials: 2\nfolds: 2\nkeep: images\n"
    "attention_distance: faulty\n";
inline constexpr int kProbeJobs = 1;
inline constexpr int kGoldenJobs = 4;
inline constexpr int kTrialJobs = 8;
inline constexpr int64_t kFoldImages[] = {5, 4};

class TestCoordinator {
 public:
  static constexpr int64_t kEndlessPages = 1'000'000;
  static constexpr absl::Duration kStep = absl::Seconds(1);

  // On the store at `path`; by default on one of its own.
  explicit TestCoordinator(SchedulerOptions options = {}, const std::string& path = "");

  Coordinator* operator->() { return coordinator_.get(); }
  Coordinator* get() { return coordinator_.get(); }
  const std::string& path() const { return path_; }

  // As a new process on the same file would. With `spare_pages` the file can grow by so many pages
  // before the disk is full.
  void Restart(int64_t spare_pages = kEndlessPages);
  // Time passes; timers that are due have run when this returns.
  void Advance(absl::Duration time);
  // The same, while the coordinator's process is stopped.
  void Jump(absl::Duration time);

  std::string Submit(const std::string& text = kSmallCampaign,
                     const std::string& request_id = "request");
  CampaignSnapshot Snapshot(const std::string& campaign);
  absl::StatusOr<CampaignSnapshot> Control(const std::string& campaign,
                                           Coordinator::Command command);
  // A number from the store itself, over a connection of its own.
  int64_t Query(const std::string& sql);
  // Changes the store behind the coordinator's back.
  void Change(const std::string& sql);

 private:
  const SchedulerOptions options_;
  ScratchFolder folder_;
  const std::string path_;
  FakeClock clock_;
  std::unique_ptr<Coordinator> coordinator_;
};

class TestWorker {
 public:
  // Registers.
  TestWorker(TestCoordinator* coordinator, std::string id, std::string instance = "first",
             std::string device_kind = "cpu", std::vector<int64_t> kept = {});

  const std::string& id() const { return id_; }
  // What it was told.
  const Registration& registration() const { return registration_; }

  Pending<std::unique_ptr<LeaseGrant>> AskForLease(int64_t request_number, absl::Duration wait);
  // Null if there is no work now.
  std::unique_ptr<LeaseGrant> Lease();
  absl::Status Report(const LeaseGrant& grant, decltype(Report::body) body);
  absl::Status Fail(const LeaseGrant& grant, const std::string& error, bool permanent = false);
  // Reports the right outcome of one job, or of all and the lease's end.
  absl::Status Answer(const LeaseGrant& grant, const LeasedJob& job);
  void AnswerAll(const LeaseGrant& grant);
  // Leases and answers until there is no work, or a lease of `until` comes, which is returned.
  std::unique_ptr<LeaseGrant> WorkUntil(JobKind until);
  void WorkToEnd();

  static ProbeOutcome RightProbe(const LeaseGrant& grant);
  static GoldenOutcomeReport RightGolden(const LeaseGrant& grant, const LeasedJob& job);
  static TrialOutcomeReport RightTrial(const LeaseGrant& grant, const LeasedJob& job);

 private:
  TestCoordinator* const coordinator_;
  const std::string id_;
  Registration registration_;
  int64_t request_number_ = 0;
};

}  // namespace bitquake
