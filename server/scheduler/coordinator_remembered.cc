// What is remembered of the store (remembered.h), and counts on their way to it.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/coordinator.h"
#include "spdlog/spdlog.h"

namespace bitquake {

void Coordinator::Forget() { remembered_ = Remembered(); }

absl::StatusOr<const CampaignFacts*> Coordinator::FactsOf(Database& db,
                                                          const std::string& campaign) {
  const auto found = remembered_.facts.find(campaign);
  if (found != remembered_.facts.end()) {
    return &found->second;
  }
  std::optional<CampaignFacts> facts;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT images, fold_sizes FROM campaigns WHERE id = ?", {campaign}, [&](const Row& row) {
        const auto sizes = nlohmann::json::parse(row.Text(1), nullptr, /*allow_exceptions=*/false);
        if (!sizes.is_array() || !std::all_of(sizes.begin(), sizes.end(), [](const auto& size) {
              return size.is_number_integer();
            })) {
          return absl::DataLossError(absl::StrCat(db.path(), ": campaign ", campaign,
                                                  " has no list of fold sizes; restore a backup"));
        }
        facts = CampaignFacts{row.Int(0), sizes};
        return absl::OkStatus();
      }));
  if (!facts.has_value()) {
    return nullptr;
  }
  return &(remembered_.facts[campaign] = *std::move(facts));
}

absl::StatusOr<const PinnedGolden*> Coordinator::GoldenOf(Database& db, int64_t variant, int fold) {
  const auto found = remembered_.goldens.find({variant, fold});
  if (found != remembered_.goldens.end()) {
    return &found->second;
  }
  std::optional<PinnedGolden> golden;
  RETURN_IF_ERROR(
      db.ForEach("SELECT digest, worker, device_kind, confirmed, top1, top5 FROM goldens WHERE "
                 "variant = ? AND "
                 "fold = ?",
                 {variant, fold}, [&](const Row& row) {
                   golden = PinnedGolden{row.Text(0),     row.Text(1), row.Text(2),
                                         row.Int(3) != 0, row.Int(4),  row.Int(5)};
                   return absl::OkStatus();
                 }));
  if (!golden.has_value()) {
    return nullptr;
  }
  return &(remembered_.goldens[{variant, fold}] = *std::move(golden));
}

absl::StatusOr<const Coordinator::OpenCampaigns*> Coordinator::Open(Database& db) {
  if (!remembered_.open.has_value()) {
    OpenCampaigns open;
    RETURN_IF_ERROR(db.ForEach(
        "SELECT id, state = 'running' FROM campaigns WHERE state IN ('probing', 'running') ORDER "
        "BY ordinal",
        {}, [&](const Row& row) {
          open.emplace_back(row.Text(0), row.Int(1) != 0);
          return absl::OkStatus();
        }));
    remembered_.open = std::move(open);
  }
  return &*remembered_.open;
}

absl::Status Coordinator::AsStep(const std::function<absl::Status()>& steps) {
  std::set<std::string> used_before = std::exchange(plans_used_, {});
  const Unwritten before = unwritten_;
  const CoordinatorCounters counted = counters_;
  absl::Status status = steps();
  if (!status.ok()) {
    for (const std::string& campaign : plans_used_) {
      plans_.erase(campaign);
    }
    unwritten_ = before;
    counters_ = counted;
    Forget();
  }
  plans_used_.merge(used_before);
  return status;
}

absl::Status Coordinator::WriteCounts(Database& db) {
  const Unwritten unwritten = std::exchange(unwritten_, {});
  for (const auto& [campaign, counts] : unwritten.counts) {
    RETURN_IF_ERROR(
        db.Run("UPDATE campaigns SET jobs_done = jobs_done + ?, jobs_poisoned = jobs_poisoned + ?, "
               "images_done = images_done + ?, images_without_flips = images_without_flips + ?, "
               "images_copied = images_copied + ? WHERE id = ?",
               {counts.jobs_done, counts.jobs_poisoned, counts.images, counts.images_without_flips,
                counts.images_copied, campaign}));
  }
  for (const std::string& campaign : unwritten.perhaps_complete) {
    RETURN_IF_ERROR(db.Run(
        "UPDATE campaigns SET state = 'done', finished_unix_ms = ? WHERE id = ? AND state IN "
        "('running', 'paused') AND jobs_done + jobs_poisoned >= jobs_total",
        {absl::ToUnixMillis(clock_->Wall()), campaign}));
    if (db.changes() > 0) {
      Forget();
      plans_.erase(campaign);
      spdlog::info("campaign {} is done", campaign);
    }
  }
  return absl::OkStatus();
}

}  // namespace bitquake
