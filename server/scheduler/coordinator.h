// The coordinator without its transport: campaigns in, leases out, outcomes in, exactly once.
//
// What must survive is in the store; memory holds only what a restart may forget: when leases end,
// who is waiting, how fast workers are, and plans, which follow from the store. Everything runs on
// the writer's thread, inside its transactions, so there is no other lock; replies are sent after
// the commit. If a commit fails, memory is made anew from the store. What leases and reports look
// up again and again is remembered, and counts of a transaction are written once (remembered.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/campaign/campaign.h"
#include "server/scheduler/figures.h"
#include "server/scheduler/policy.h"
#include "server/scheduler/remembered.h"
#include "server/scheduler/trial_plan.h"
#include "server/scheduler/work.h"
#include "server/store/database.h"
#include "server/store/writer.h"

namespace bitquake {

class Coordinator {
 public:
  // A reply, called on the writer's thread after the commit.
  template <typename T>
  using Reply = std::function<void(absl::StatusOr<T>)>;
  using LeaseReply = Reply<std::unique_ptr<LeaseGrant>>;  // null: no work came in time

  // `db` must be migrated; `clock` must outlive the coordinator. Errors: those of reading the
  // store.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Start(Database db, const Clock* clock,
                                                            SchedulerOptions options);
  ~Coordinator();

  // The calls below may come from any thread.

  void Submit(Campaign campaign, std::string request_id, Reply<std::string> reply);
  enum class Command { kPause, kResume, kCancel };
  void Control(std::string campaign, Command command, Reply<CampaignSnapshot> reply);
  void GetCampaign(std::string campaign, Reply<CampaignSnapshot> reply);
  // Newest first, those submitted before `before` (an ordinal; 0: all).
  struct Page {
    std::vector<CampaignSnapshot> campaigns;
    int64_t next_before = 0;  // 0: no more
  };
  void ListCampaigns(int64_t before, int limit, Reply<Page> reply);
  void ListWorkers(Reply<std::vector<WorkerSnapshot>> reply);

  // `changed` is called on the writer's thread with the present state, then after changes (at most
  // four times a second), and last when the campaign has ended, or with an error. It must not
  // block. Returns a number for Unwatch.
  using Watcher = std::function<void(absl::StatusOr<CampaignSnapshot>)>;
  int64_t Watch(std::string campaign, const Watcher& changed);
  void Unwatch(int64_t watcher);

  // A new instance of a known worker loses the leases of the one before it, but `kept`, whose
  // reports it still delivers.
  void Register(WorkerIdentity worker, std::vector<int64_t> kept, Reply<Registration> reply);
  // Replies when there is work, or null after `wait`. Returns a number for StopWaiting.
  int64_t Lease(std::string worker, int64_t request_number, absl::Duration wait,
                const LeaseReply& reply);
  // The lease that a request of this number was granted, or null if it has none, as from now on;
  // always null for another instance than the one that registered last.
  void CloseRequest(std::string worker, std::string instance, int64_t request_number,
                    LeaseReply reply);
  // The caller is gone: replies Cancelled if it still waits.
  void StopWaiting(int64_t waiter);
  void Heartbeat(std::string worker, std::vector<int64_t> leases, Reply<HeartbeatReply> reply);
  // `ended` is called on the writer's thread with each lease of the worker that ends otherwise than
  // by the worker's own word: cancelled, expired, taken away. It must not block. Returns a number
  // for StopListening.
  using LeaseListener = std::function<void(int64_t lease)>;
  int64_t ListenForEnds(std::string worker, LeaseListener ended);
  void StopListening(int64_t listener);
  // Acknowledged when the reply is OK.
  void Report(bitquake::Report report, std::function<void(absl::Status)> reply);

  // The counters now; waits for the writer.
  CoordinatorCounters counters();
  // For metrics. However often it is asked, it takes little of the writer's time: campaigns may be
  // as they were a moment ago.
  void Figures(Reply<CoordinatorFigures> reply);
  // Whether the store took the last transaction.
  absl::Status ready() const { return writer_->last_commit(); }
  prometheus::ClientMetric commit_seconds() const { return writer_->commit_seconds(); }

  // Does what was submitted, answers those who wait with Unavailable, and ends.
  void Stop();
  // Lets timers run now: for tests that turn a fake clock.
  void Wake() { writer_->Wake(); }

 private:
  struct LeaseState {
    std::string worker;
    std::string campaign;
    std::string model;
    absl::Duration deadline;
    absl::Duration granted;
    int64_t images = 0;  // that were run for its outcomes so far
    // What its worker runs now; nothing if it has not said.
    std::optional<std::vector<int64_t>> begun = std::nullopt;
  };
  struct WorkerState {
    WorkerIdentity identity;
    std::string quarantine;
    absl::Duration last_seen = -absl::InfiniteDuration();
    std::set<std::string> excluded;                   // campaigns that it cannot run
    std::map<std::string, double> images_per_second;  // by model
    int64_t variant = 0;                              // that it worked on last
    int64_t last_lease_jobs = 0;
    int64_t closed_request = std::numeric_limits<int64_t>::min();  // and all before it
  };
  struct Waiter {
    std::string worker;
    int64_t request_number;
    absl::Duration deadline;
    LeaseReply reply;
  };
  struct WatchState {
    std::string campaign;
    Watcher changed;
  };
  struct ListenState {
    std::string worker;
    LeaseListener ended;
  };
  // What is looked up in all of a campaign's cells and jobs, when that was, and how long it took.
  struct Overview {
    int64_t cells = 0;
    std::vector<std::string> poison_errors;  // the last ones
    std::optional<WorstCell> worst;          // the widest
    absl::Duration found_at;
    absl::Duration took;
    std::tuple<bool, int64_t, int64_t> at;  // whether it had ended; jobs done and poisoned
  };
  // Images done at some moments lately, oldest first.
  using SpeedSamples = std::vector<std::pair<absl::Duration, int64_t>>;

  Coordinator(const Clock* clock, SchedulerOptions options) : clock_(clock), options_(options) {}

  // Asks on the writer's thread; replies with the answer after the commit, or with the error.
  template <typename T>
  void Ask(std::function<absl::Status(Database&, T&)> question, Reply<T> reply,
           Writer::Priority priority = Writer::Priority::kUrgent);

  absl::Status Load(Database& db);
  // Before a transaction's requests: memory is what the store says, also after a commit failed.
  absl::Status Begin(Database& db);
  absl::Duration Tick(Database& db);
  void Ended(const absl::Status& status);
  // Runs `reply` after the commit with its status.
  void AfterCommit(std::function<void(const absl::Status&)> reply);

  // coordinator_leases.cc
  struct Candidate;
  absl::StatusOr<WorkerState*> Known(const std::string& worker);
  bool Live(const WorkerState& worker) const;
  int LiveWorkers();
  absl::Status ApplyRegister(Database& db, const WorkerIdentity& identity,
                             const std::vector<int64_t>& kept);
  // Null if there is no work for the worker.
  absl::StatusOr<std::unique_ptr<LeaseGrant>> TryLease(Database& db, const std::string& worker_id,
                                                       int64_t request_number);
  absl::StatusOr<std::unique_ptr<LeaseGrant>> RepeatLease(Database& db, const std::string& worker,
                                                          int64_t request_number);
  static absl::Status FillGrant(Database& db, LeaseGrant& grant, int64_t variant);
  absl::Status EndLease(Database& db, int64_t lease, bool lost);
  absl::Status EndLeasesOf(Database& db, const std::string& worker, bool lost,
                           const std::vector<int64_t>& kept = {});
  // Gives the leases their whole time again if timers are so late that the coordinator was away.
  void ExcuseAbsence();
  absl::Status ExpireLeases(Database& db);
  absl::Status ServeWaiters(Database& db);
  absl::Status ReleaseRetries(Database& db);

  // coordinator_work.cc
  absl::StatusOr<std::optional<Candidate>> FindWork(Database& db, const WorkerState& worker);
  // What is ready of a campaign, after more was made of a running one that had little.
  absl::StatusOr<ReadyBatches*> MakeReadyJobs(Database& db, const std::string& campaign,
                                              bool running);
  // The jobs of one more wave. False if all have been made.
  absl::StatusOr<bool> MakeWave(Database& db, const std::string& campaign);
  // So many workers need more jobs ready than a lease waits for: a wave in each transaction.
  absl::Status MakeJobsAhead(Database& db);
  absl::StatusOr<int64_t> LeaseSize(Database& db, int64_t lease, const WorkerState& worker,
                                    const Candidate& work);
  absl::StatusOr<int64_t> TakeJobs(Database& db, int64_t lease, const Candidate& work,
                                   int64_t most);
  static absl::StatusOr<int64_t> TakeFromBatch(Database& db, int64_t lease, ReadyBatch& batch,
                                               bool suspects, int64_t most);
  absl::StatusOr<ReadyBatches*> ReadyOf(Database& db, const std::string& campaign);
  // Adds those that were made since.
  static absl::Status ReadReadyBatches(Database& db, const std::string& campaign,
                                       ReadyBatches& batches);
  static absl::Status ReadReadyJobs(Database& db, ReadyBatch& batch);

  // coordinator_reports.cc
  struct JobRow;
  struct StartedTrial;
  absl::Status ApplyReport(Database& db, const bitquake::Report& report);
  absl::Status ApplyProbe(Database& db, const bitquake::Report& report, const ProbeOutcome& probe);
  absl::Status ApplyGolden(Database& db, const bitquake::Report& report,
                           const GoldenOutcomeReport& golden);
  absl::Status ApplyTrial(Database& db, const bitquake::Report& report,
                          const TrialOutcomeReport& trial);
  absl::Status ApplyLeaseEnd(Database& db, const bitquake::Report& report, bool lost);
  void ApplyBegun(const bitquake::Report& report, const JobsBegun& begun);
  absl::Status AddToTrial(Database& db, const JobRow& job, const StartedTrial& started,
                          const TrialOutcomeReport& outcome);
  static absl::StatusOr<std::unique_ptr<JobRow>> FindJob(Database& db, int64_t job);
  // As FindJob; InvalidArgument if the job is another campaign's or of another kind.
  absl::StatusOr<std::unique_ptr<JobRow>> FindReported(Database& db, const bitquake::Report& report,
                                                       int64_t job, JobKind kind);
  // The job is done: it leaves the table.
  absl::Status RemoveJob(Database& db, const JobRow& job);
  static absl::StatusOr<StartedTrial> FindTrial(Database& db, const JobRow& job);
  // What contradicts what is known of the job; empty if nothing does.
  absl::StatusOr<std::string> WhatIsWrong(Database& db, const JobRow& job,
                                          const TrialOutcomeReport& trial);
  struct Disagreement {
    const char* alarm;
    std::string what;
    const char* does;  // wrongly, one of the two
  };
  absl::Status Dispute(Database& db, const bitquake::Report& report, const JobRow& job,
                       const Disagreement& disagreement, bool outvoted);
  absl::StatusOr<bool> AgreesWithOtherFolds(Database& db, const bitquake::Report& report,
                                            const JobRow& job, const StartedTrial& started,
                                            const TrialOutcomeReport& trial);
  absl::StatusOr<bool> AgreesWithGolden(Database& db, const bitquake::Report& report,
                                        const JobRow& job, const TrialOutcomeReport& trial);
  absl::Status CountDuplicate(Database& db, const bitquake::Report& report, int64_t job,
                              const std::string& digest);
  // Of an outcome, `run` of whose images went through the network: those measure speed.
  void CountImages(const bitquake::Report& report, const std::string& campaign, int64_t images,
                   int64_t run);
  // When the transaction's counts are written.
  absl::Status FinishIfComplete(Database& db, const std::string& campaign);

  // coordinator_plans.cc
  // Null if the campaign's trials are not planned, cannot be yet, or need not be any more.
  absl::StatusOr<TrialPlan*> PlanOf(Database& db, const std::string& campaign);
  // Jobs in the end, of a campaign that has so many now: those, or as far as is known by now.
  absl::StatusOr<int64_t> ExpectedJobs(Database& db, const CampaignSnapshot& now);

  // coordinator_remembered.cc
  // After whatever changed ready batches, goldens or states of campaigns by other ways than those
  // below.
  void Forget();
  // Null if there is no such campaign.
  absl::StatusOr<const CampaignFacts*> FactsOf(Database& db, const std::string& campaign);
  // Null if it is not pinned yet.
  absl::StatusOr<const PinnedGolden*> GoldenOf(Database& db, int64_t variant, int fold);
  // Campaigns that work can be had of, in the order of submission, and whether they are running.
  using OpenCampaigns = std::vector<std::pair<std::string, bool>>;
  absl::StatusOr<const OpenCampaigns*> Open(Database& db);
  // Runs steps in a savepoint. If they fail, what they changed in the store is undone, and so is
  // what memory has of it: counts, counters, what is remembered, plans.
  absl::Status AsStep(const std::function<absl::Status()>& steps);
  // Writes the counts of the steps so far, and finishes campaigns that have become complete.
  absl::Status WriteCounts(Database& db);

  // coordinator_details.cc
  // As WhatIsWrong, of what the campaign keeps beyond counts; and keeping it, where it does, when
  // the outcome is stored.
  absl::StatusOr<std::string> WhatIsWrongWithDetails(Database& db, const JobRow& job,
                                                     const GoldenOutcomeReport& golden);
  absl::StatusOr<std::string> WhatIsWrongWithDetails(Database& db, const JobRow& job,
                                                     const TrialOutcomeReport& trial);
  absl::Status KeepDetails(Database& db, const JobRow& job, const GoldenOutcomeReport& golden);
  absl::Status KeepDetails(Database& db, const JobRow& job, const TrialOutcomeReport& trial);

  // coordinator_losses.cc
  // Of jobs whose lease was lost: those that may be the cause.
  std::vector<int64_t> Suspects(int64_t lease, const std::vector<int64_t>& held) const;
  // Counts a loss against each; one that was alone too often is poisoned.
  absl::Status CountLosses(Database& db, int64_t lease, const std::vector<int64_t>& suspects);
  // Keeps whom the loss of a lease that expires is counted against.
  absl::Status RememberExpired(Database& db, int64_t lease, const std::string& worker);
  // The worker of an expired lease lives: what was at work did not end it.
  absl::Status Exonerate(Database& db, const std::string& worker, int64_t lease);
  void TellEnded(const std::string& worker, int64_t lease);

  // coordinator_failures.cc
  absl::Status ApplyFailure(Database& db, const bitquake::Report& report,
                            const FailureReport& failure);
  absl::Status FailJob(Database& db, const JobRow& job, const std::string& error);
  absl::Status FailJobForGood(Database& db, const JobRow& job, const std::string& error);
  absl::Status GiveBack(Database& db, const JobRow& job, const std::string& error);
  absl::Status CountPoisoned(Database& db, const JobRow& job, const std::string& error);
  void PauseDamaged(const std::string& campaign, const std::string& error);
  absl::Status PauseWithError(Database& db, const std::string& campaign, const std::string& error);
  absl::Status FailCampaign(Database& db, const std::string& campaign, const std::string& error);
  absl::Status Distrust(Database& db, const bitquake::Report& report, const JobRow& job,
                        const std::string& why);
  absl::Status Quarantine(Database& db, const std::string& worker, const std::string& why);
  absl::Status Alarm(Database& db, const std::string& kind, const std::string& worker, int64_t job,
                     const std::string& detail);

  // coordinator_campaigns.cc
  absl::Status ApplyControl(Database& db, const std::string& campaign, Command command);
  absl::Status DropOpenJobs(Database& db, const std::string& campaign);
  absl::StatusOr<CampaignSnapshot> Snapshot(Database& db, const std::string& campaign);
  // Of a running campaign, not looked up again before that would take a twentieth of the time.
  absl::StatusOr<const Overview*> OverviewOf(Database& db, const CampaignSnapshot& snapshot);
  absl::StatusOr<Overview> LookOver(Database& db, const CampaignSnapshot& snapshot);
  absl::StatusOr<std::optional<WorstCell>> FindWorstCell(Database& db, const std::string& campaign);
  void MeasureSpeed(CampaignSnapshot& now);
  absl::StatusOr<const Campaign*> CachedCampaign(Database& db, const std::string& id);
  void NotifyWatchers(Database& db);

  // coordinator_figures.cc
  absl::Status GatherFigures(Database& db, CoordinatorFigures& figures);
  absl::StatusOr<std::vector<CampaignFigures>> FiguresOfCampaigns(Database& db);
  // What one worker would need for so many of a campaign's jobs; empty if that is not known.
  absl::StatusOr<std::optional<absl::Duration>> WorkOf(Database& db, const std::string& campaign,
                                                       int64_t jobs);

  void Changed(const std::string& campaign) { changed_.insert(campaign); }

  const Clock* const clock_;
  const SchedulerOptions options_;

  std::map<int64_t, LeaseState> leases_;
  std::map<std::string, WorkerState> workers_;
  std::map<int64_t, Waiter> waiters_;               // in order of arrival
  std::multimap<absl::Duration, int64_t> retries_;  // when -> job in state waiting
  std::map<int64_t, WatchState> watchers_;
  std::map<int64_t, ListenState> listeners_;
  struct ExpiredLease {
    std::string worker;
    std::vector<int64_t> suspects;
  };
  std::map<int64_t, ExpiredLease> expired_;        // lately, with suspects
  std::string store_;                              // identity
  absl::Duration due_ = absl::InfiniteDuration();  // when timers were to run
  std::set<std::string> changed_;                  // campaigns, since watchers were told
  absl::Duration watchers_told_ = -absl::InfiniteDuration();
  std::map<std::string, SpeedSamples> speeds_;               // by campaign
  std::map<std::string, Overview> overviews_;                // by campaign
  std::map<std::string, Campaign> campaigns_;                // parsed, by id
  std::map<std::string, std::unique_ptr<TrialPlan>> plans_;  // by campaign
  std::set<std::string> plans_used_;                         // by the steps under way
  Remembered remembered_;
  Unwritten unwritten_;
  std::string short_of_jobs_;      // the campaign that should have more jobs ready
  bool work_may_be_ready_ = true;  // something happened for which waiters should be tried again
  bool reload_ = false;            // a commit failed: make memory anew
  bool stopping_ = false;          // nobody may wait any more
  CoordinatorCounters counters_;
  CoordinatorCounters committed_;                  // counters_ when the last commit succeeded
  std::vector<CampaignFigures> campaign_figures_;  // as of the last look at the store
  absl::Duration figures_due_ = -absl::InfiniteDuration();  // when it may be looked at again
  std::vector<std::function<void(const absl::Status&)>> after_commit_;

  std::atomic<int64_t> next_number_{1};  // of waiters and watchers
  std::unique_ptr<Writer> writer_;       // last: its thread uses all of the above
};

}  // namespace bitquake
