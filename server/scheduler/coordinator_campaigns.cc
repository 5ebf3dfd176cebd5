// What people do with campaigns: pause, resume, cancel, look, watch.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/stats/estimate.h"
#include "common/stats/interval.h"
#include "server/scheduler/coordinator.h"
#include "server/scheduler/expansion.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

// The speed shown is that of so long a time.
constexpr absl::Duration kSpeedWindow = absl::Seconds(20);
constexpr absl::Duration kBetweenNotices = absl::Milliseconds(250);

}  // namespace

absl::StatusOr<const Campaign*> Coordinator::CachedCampaign(Database& db, const std::string& id) {
  const auto found = campaigns_.find(id);
  if (found != campaigns_.end()) {
    return &found->second;
  }
  ASSIGN_OR_RETURN(Campaign campaign, LoadCampaign(db, id));
  constexpr size_t kKept = 64;
  if (campaigns_.size() >= kKept) {
    campaigns_.clear();
  }
  return &(campaigns_[id] = std::move(campaign));
}

absl::Status Coordinator::ApplyControl(Database& db, const std::string& campaign, Command command) {
  ASSIGN_OR_RETURN(const CampaignSnapshot now, Snapshot(db, campaign));
  switch (command) {
    case Command::kPause:
      if (now.state == "paused") {
        return absl::OkStatus();
      }
      if (now.ended()) {
        break;
      }
      RETURN_IF_ERROR(db.Run(
          "UPDATE campaigns SET state = 'paused', paused_state = state WHERE id = ?", {campaign}));
      Changed(campaign);
      return absl::OkStatus();
    case Command::kResume:
      if (now.ended()) {
        break;
      }
      RETURN_IF_ERROR(db.Run(
          "UPDATE campaigns SET state = paused_state, paused_state = '', error = '' WHERE id = ? "
          "AND state = 'paused'",
          {campaign}));
      // Whoever could not run it may have been mended.
      for (auto& [id, worker] : workers_) {
        worker.excluded.erase(campaign);
      }
      Changed(campaign);
      work_may_be_ready_ = true;
      return absl::OkStatus();
    case Command::kCancel:
      if (now.state == "cancelled") {
        return absl::OkStatus();
      }
      if (now.ended()) {
        break;
      }
      RETURN_IF_ERROR(
          db.Run("UPDATE campaigns SET state = 'cancelled', finished_unix_ms = ? WHERE id = ?",
                 {absl::ToUnixMillis(clock_->Wall()), campaign}));
      return DropOpenJobs(db, campaign);
  }
  return absl::FailedPreconditionError(
      absl::StrCat("campaign ", campaign, " has ended (", now.state, ")"));
}

absl::Status Coordinator::DropOpenJobs(Database& db, const std::string& campaign) {
  std::vector<int64_t> held;
  for (const auto& [id, lease] : leases_) {
    if (lease.campaign == campaign) {
      held.push_back(id);
    }
  }
  RETURN_IF_ERROR(db.Run(
      "DELETE FROM jobs WHERE batch IN (SELECT id FROM batches WHERE campaign = ?) AND state <> "
      "'poisoned'",
      {campaign}));
  RETURN_IF_ERROR(db.Run("UPDATE batches SET ready = 0 WHERE campaign = ?", {campaign}));
  for (const int64_t id : held) {
    TellEnded(leases_[id].worker, id);
    RETURN_IF_ERROR(db.Run("DELETE FROM leases WHERE id = ?", {id}));
    leases_.erase(id);
  }
  Changed(campaign);
  return absl::OkStatus();
}

absl::StatusOr<CampaignSnapshot> Coordinator::Snapshot(Database& db, const std::string& campaign) {
  RETURN_IF_ERROR(WriteCounts(db));
  CampaignSnapshot now;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT id, name, state, error, jobs_total, jobs_done, jobs_poisoned, images_done, "
      "submitted_unix_ms, finished_unix_ms, images_without_flips, images_copied FROM campaigns "
      "WHERE id = ?",
      {campaign}, [&](const Row& row) {
        now.id = row.Text(0);
        now.name = row.Text(1);
        now.state = row.Text(2);
        now.error = row.Text(3);
        now.jobs_total = row.Int(4);
        now.jobs_done = row.Int(5);
        now.jobs_poisoned = row.Int(6);
        now.images_done = row.Int(7);
        now.submitted_unix_ms = row.Int(8);
        now.finished_unix_ms = row.Int(9);
        now.images_without_flips = row.Int(10);
        now.images_copied = row.Int(11);
        return absl::OkStatus();
      }));
  if (now.id.empty()) {
    return absl::NotFoundError(absl::StrCat("no campaign '", campaign, "'; see `bitquake list`"));
  }
  std::set<std::string> workers;
  for (const auto& [id, lease] : leases_) {
    if (lease.campaign == campaign) {
      workers.insert(lease.worker);
    }
  }
  // Of one that has ended, a lease may still wait for its worker's word.
  now.workers = now.ended() ? 0 : static_cast<int>(workers.size());
  ASSIGN_OR_RETURN(
      const auto leased,
      db.QueryInt("SELECT count(*) FROM jobs WHERE lease IN (SELECT id FROM leases WHERE "
                  "campaign = ?)",
                  {campaign}));
  now.jobs_leased = leased.value_or(0);
  // Of a damaged campaign what is not known is left out: its error says more.
  const absl::StatusOr<const Overview*> overview = OverviewOf(db, now);
  if (overview.ok()) {
    now.cells = (*overview)->cells;
    now.poison_errors = (*overview)->poison_errors;
    now.has_worst = (*overview)->worst.has_value();
    now.worst = (*overview)->worst.value_or(WorstCell());
  } else if (!absl::IsDataLoss(overview.status())) {
    return overview.status();
  }
  const absl::StatusOr<int64_t> expected = ExpectedJobs(db, now);
  if (!expected.ok() && !absl::IsDataLoss(expected.status())) {
    return expected.status();
  }
  now.jobs_expected = expected.value_or(now.jobs_total);
  MeasureSpeed(now);
  return now;
}

void Coordinator::MeasureSpeed(CampaignSnapshot& now) {
  if (now.ended()) {
    speeds_.erase(now.id);
    return;
  }
  auto& samples = speeds_[now.id];
  const absl::Duration time = clock_->Monotonic();
  if (samples.empty() || time - samples.back().first >= kBetweenNotices) {
    samples.emplace_back(time, now.images_done);
  }
  while (samples.size() > 2 && time - samples.front().first > kSpeedWindow) {
    samples.erase(samples.begin());
  }
  const absl::Duration span = time - samples.front().first;
  if (span > absl::ZeroDuration()) {
    now.images_per_second =
        static_cast<double>(now.images_done - samples.front().second) / absl::ToDoubleSeconds(span);
  }
  const double images_per_job =
      now.jobs_done > 0 ? static_cast<double>(now.images_done) / static_cast<double>(now.jobs_done)
                        : 0;
  if (now.images_per_second > 0 && now.jobs_total > 0) {
    const int64_t left = now.jobs_expected - now.jobs_done - now.jobs_poisoned;
    now.eta_seconds = static_cast<double>(left) * images_per_job / now.images_per_second;
  }
}

absl::StatusOr<const Coordinator::Overview*> Coordinator::OverviewOf(Database& db,
                                                                     const CampaignSnapshot& now) {
  constexpr int kShare = 20;
  const absl::Duration start = clock_->Monotonic();
  const std::tuple at(now.ended(), now.jobs_done, now.jobs_poisoned);
  const auto known = overviews_.find(now.id);
  if (known != overviews_.end()) {
    const Overview& last = known->second;
    if (last.at == at && now.ended()) {
      return &last;
    }
    if (!now.ended() && std::get<2>(last.at) == now.jobs_poisoned &&
        start < last.found_at + kShare * last.took) {
      return &last;
    }
  }
  ASSIGN_OR_RETURN(Overview overview, LookOver(db, now));
  overview.found_at = start;
  overview.took = clock_->Monotonic() - start;
  overview.at = at;
  constexpr size_t kKept = 1024;
  if (overviews_.size() >= kKept) {
    overviews_.clear();
  }
  return &(overviews_[now.id] = std::move(overview));
}

absl::StatusOr<Coordinator::Overview> Coordinator::LookOver(Database& db,
                                                            const CampaignSnapshot& now) {
  Overview overview;
  ASSIGN_OR_RETURN(
      const auto cells,
      db.QueryInt("SELECT count(*) FROM cells WHERE variant IN (SELECT id FROM variants "
                  "WHERE campaign = ?)",
                  {now.id}));
  overview.cells = cells.value_or(0);
  if (now.jobs_poisoned > 0) {
    RETURN_IF_ERROR(db.ForEach(
        "SELECT error FROM jobs WHERE state = 'poisoned' AND batch IN (SELECT id FROM batches "
        "WHERE campaign = ?) ORDER BY id DESC LIMIT 10",
        {now.id}, [&](const Row& row) {
          overview.poison_errors.push_back(row.Text(0));
          return absl::OkStatus();
        }));
  }
  ASSIGN_OR_RETURN(overview.worst, FindWorstCell(db, now.id));
  return overview;
}

absl::StatusOr<std::optional<WorstCell>> Coordinator::FindWorstCell(Database& db,
                                                                    const std::string& campaign) {
  // The variance of the trials' losses is taken as if all had the mean number of images, cells are
  // ranked without Student's factor, and the half-width is Student's but for Bernstein's: the
  // results themselves, and an adaptive campaign's decisions, are computed from the trials.
  ASSIGN_OR_RETURN(const Campaign* parsed, CachedCampaign(db, campaign));
  const TrialDesign design = parsed->trials;
  std::optional<WorstCell> worst;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT v.model, v.format, c.target, c.ber, c.trials_done, c.loss_sum, c.loss_square_sum, "
      "c.images_sum FROM cells c JOIN variants v ON v.id = c.variant WHERE v.campaign = ? AND "
      "c.trials_done >= 2 ORDER BY (c.loss_square_sum - c.loss_sum * 1.0 * c.loss_sum / "
      "c.trials_done) * c.trials_done / ((c.trials_done - 1.0) * c.images_sum * c.images_sum) "
      "DESC, c.id LIMIT 1",
      {campaign}, [&](const Row& row) {
        const double trials = row.Double(4);
        const double variance =
            (row.Double(6) - row.Double(5) * row.Double(5) / trials) / (trials - 1);
        const double images_per_trial = row.Double(7) / trials;
        const double to_pp = 100 / images_per_trial;
        const double variance_pp = std::max(0.0, variance) * to_pp * to_pp;
        const double half_width =
            design.interval == IntervalMethod::kBernstein
                ? BernsteinHalfWidth(variance_pp, row.Int(4), /*range=*/100, design.confidence)
                : StudentHalfWidth(variance_pp, row.Int(4), design.confidence);
        worst = {row.Text(0), row.Text(1), row.Text(2), row.Double(3), half_width};
        return absl::OkStatus();
      }));
  return worst;
}

void Coordinator::NotifyWatchers(Database& db) {
  const absl::Duration now = clock_->Monotonic();
  if (changed_.empty() || now < watchers_told_ + kBetweenNotices) {
    return;
  }
  watchers_told_ = now;
  for (const std::string& campaign : std::exchange(changed_, {})) {
    std::vector<int64_t> numbers;
    for (const auto& [number, watch] : watchers_) {
      if (watch.campaign == campaign) {
        numbers.push_back(number);
      }
    }
    if (numbers.empty()) {
      continue;
    }
    auto snapshot = std::make_shared<absl::StatusOr<CampaignSnapshot>>(Snapshot(db, campaign));
    const bool last = !snapshot->ok() || (*snapshot)->ended();
    for (const int64_t number : numbers) {
      AfterCommit([this, number, last, campaign = campaign, snapshot](const absl::Status& status) {
        if (!status.ok()) {
          Changed(campaign);  // what is told later is what was committed
          return;
        }
        const auto watch = watchers_.find(number);
        if (watch == watchers_.end()) {
          return;
        }
        watch->second.changed(*snapshot);
        if (last) {
          watchers_.erase(watch);
        }
      });
    }
  }
}

}  // namespace bitquake
