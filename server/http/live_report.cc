#include "server/http/live_report.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "server/http/campaign_report.h"

namespace bitquake {
namespace {

constexpr absl::Duration kBetweenChanges = absl::Seconds(1);
constexpr int kRestShare = 4;  // of the time that a computation took
constexpr size_t kChangesKept = 16;
constexpr size_t kChangeBytesKept = size_t{8} << 20;
constexpr absl::Duration kAnswerTime = absl::Seconds(10);  // of the coordinator

}  // namespace

LiveReport::LiveReport(Coordinator* coordinator, std::string database, std::string campaign,
                       const Clock* clock, std::string epoch)
    : coordinator_(coordinator),
      database_(std::move(database)),
      campaign_(std::move(campaign)),
      clock_(clock),
      epoch_(std::move(epoch)) {}

std::string LiveReport::Version(int64_t number) const { return absl::StrCat(epoch_, "-", number); }

int LiveReport::listeners() const {
  absl::MutexLock lock(&mutex_);
  return listeners_;
}

void LiveReport::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

void LiveReport::Watch() {
  watch_ = coordinator_->Watch(
      campaign_, [self = shared_from_this()](const absl::StatusOr<CampaignSnapshot>& snapshot) {
        self->Take(snapshot);
      });
}

void LiveReport::Take(const absl::StatusOr<CampaignSnapshot>& snapshot) {
  absl::MutexLock lock(&mutex_);
  if (snapshot.ok()) {
    told_ = *snapshot;
    dirty_ = true;
  } else {
    error_ = snapshot.status();
  }
}

absl::StatusOr<CampaignSnapshot> LiveReport::AskSnapshot() {
  struct Answer {
    absl::Notification arrived;
    absl::StatusOr<CampaignSnapshot> snapshot;
  };
  const auto answer = std::make_shared<Answer>();  // may come after nobody waits any more
  coordinator_->GetCampaign(campaign_, [answer](absl::StatusOr<CampaignSnapshot> snapshot) {
    answer->snapshot = std::move(snapshot);
    answer->arrived.Notify();
  });
  if (!answer->arrived.WaitForNotificationWithTimeout(kAnswerTime)) {
    return absl::UnavailableError("the coordinator is busy; try again");
  }
  return answer->snapshot;
}

void LiveReport::Compute(const CampaignSnapshot& snapshot) {
  const absl::Duration start = clock_->Monotonic();
  auto next = std::make_shared<State>();
  absl::Status error;
  absl::StatusOr<CampaignReport> report = ReadReport(database_, snapshot);
  absl::StatusOr<PageData> data =
      report.ok() ? MakePageData(*report) : absl::StatusOr<PageData>(report.status());
  if (data.ok()) {
    next->report = *std::move(report);
    next->report.cells = {};  // they are in the data
    next->data = *std::move(data);
  }
  absl::MutexLock lock(&mutex_);
  const absl::Duration now = clock_->Monotonic();
  due_ = now + std::max(kBetweenChanges, kRestShare * (now - start));
  error_ = data.status();
  if (data.ok()) {
    Publish(std::move(next));
  }
  computing_ = false;
}

void LiveReport::Publish(std::shared_ptr<State> next) {
  if (state_ != nullptr) {
    next->number = state_->number + 1;
    PageChange change = ChangeJson(state_->data, next->data);
    if (!change.whole) {
      changes_.clear();  // whoever has an older version fetches the page
    } else {
      changes_.push_back({next->number, std::move(change.json)});
    }
    size_t bytes = 0;
    for (const Change& kept : changes_) {
      bytes += kept.json.size();
    }
    while (changes_.size() > kChangesKept || (bytes > kChangeBytesKept && changes_.size() > 1)) {
      bytes -= changes_.front().json.size();
      changes_.pop_front();
    }
  }
  state_ = std::move(next);
}

ReportChange LiveReport::After(const std::string& version) const {
  if (state_ == nullptr || version == Version(state_->number)) {
    const bool ended = state_ != nullptr && state_->report.progress.ended();
    return {ended ? ReportChange::Kind::kEnd : ReportChange::Kind::kNone, version, ""};
  }
  absl::string_view text = version;
  int64_t number = -1;
  if (absl::ConsumePrefix(&text, epoch_ + "-") && absl::SimpleAtoi(text, &number)) {
    for (const Change& change : changes_) {
      if (change.to == number + 1) {
        return {ReportChange::Kind::kChange, Version(change.to), change.json};
      }
    }
  }
  return {ReportChange::Kind::kReload, "", ""};
}

absl::StatusOr<std::string> LiveReport::Page(const std::string& events) {
  absl::StatusOr<CampaignSnapshot> snapshot = AskSnapshot();
  if (!snapshot.ok()) {
    return snapshot.status();
  }
  std::shared_ptr<const State> state;
  bool compute = false;
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](bool* computing) { return !*computing; }, &computing_));
    // A page is not computed more often than changes are, however often it is asked for.
    compute = state_ == nullptr || (clock_->Monotonic() >= due_ && (dirty_ || watch_ == 0) &&
                                    !state_->report.progress.ended());
    computing_ = compute;
    dirty_ = dirty_ && !compute;
  }
  if (compute) {
    Compute(*snapshot);
  }
  {
    absl::MutexLock lock(&mutex_);
    if (state_ == nullptr || (compute && !error_.ok())) {
      return error_.ok() ? absl::UnavailableError("no report yet; try again") : error_;
    }
    state = state_;
  }
  return WritePage(state->report, state->data, {events, Version(state->number)});
}

LiveReport::Listener::Listener(std::shared_ptr<LiveReport> report) : report_(std::move(report)) {
  absl::MutexLock lock(&report_->mutex_);
  if (++report_->listeners_ == 1) {
    report_->error_ = absl::OkStatus();
    report_->Watch();
  }
}

LiveReport::Listener::~Listener() {
  absl::MutexLock lock(&report_->mutex_);
  if (--report_->listeners_ == 0) {
    report_->coordinator_->Unwatch(report_->watch_);
    report_->watch_ = 0;
    report_->dirty_ = true;  // or may be: nobody tells any more
  }
}

absl::StatusOr<ReportChange> LiveReport::Listener::Next(const std::string& version,
                                                        absl::Duration patience) {
  LiveReport& report = *report_;
  const absl::Duration give_up = report.clock_->Monotonic() + patience;
  absl::MutexLock lock(&report.mutex_);
  for (;;) {
    if (report.stopped_) {
      return absl::UnavailableError("the coordinator is stopping");
    }
    if (!report.error_.ok()) {
      return report.error_;
    }
    ReportChange change = report.After(version);
    if (change.kind != ReportChange::Kind::kNone) {
      return change;
    }
    const absl::Duration now = report.clock_->Monotonic();
    if (now >= give_up) {
      return change;
    }
    // `told_` has no ID before the watch has told anything.
    const bool wanted = report.dirty_ && !report.computing_ && !report.told_.id.empty();
    if (wanted && now >= report.due_) {
      report.computing_ = true;
      report.dirty_ = false;
      const CampaignSnapshot snapshot = report.told_;
      report.mutex_.Unlock();
      report.Compute(snapshot);
      report.mutex_.Lock();
      continue;
    }
    const absl::Duration until = wanted ? std::min(give_up, report.due_) : give_up;
    const bool was_wanted = wanted;
    const auto something_to_do = [&report, &version, was_wanted]() {
      return report.stopped_ || !report.error_.ok() ||
             report.After(version).kind != ReportChange::Kind::kNone ||
             (report.dirty_ && !report.computing_ && !report.told_.id.empty()) != was_wanted;
    };
    report.mutex_.AwaitWithTimeout(absl::Condition(&something_to_do), until - now);
  }
}

}  // namespace bitquake
