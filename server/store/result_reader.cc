#include "server/store/result_reader.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/store/packed.h"

namespace bitquake {

namespace {

// The cells of a campaign, whose id is to be bound, with their numbers.
constexpr char kNumberedCells[] =
    "(SELECT c.id, c.position + (SELECT coalesce(sum(u.positions), 0) FROM variants u WHERE "
    "u.campaign = v.campaign AND u.id < v.id) AS number FROM cells c JOIN variants v ON v.id = "
    "c.variant WHERE v.campaign = ?)";

// Over the folds, in their order, of each variant whose golden is known on all of them.
absl::Status ReadGoldenAttention(Database& db, const std::string& id, StoredCampaign& campaign) {
  for (GoldenResult& golden : campaign.goldens) {
    std::vector<AttentionDistances> folds;
    RETURN_IF_ERROR(db.ForEach(
        "SELECT a.heads, a.sums FROM golden_attention a JOIN variants v ON v.id = a.variant WHERE "
        "v.campaign = ? AND v.model = ? AND v.format = ? ORDER BY a.fold",
        {id, golden.model, golden.format}, [&](const Row& row) {
          folds.push_back(UnpackSums(row.Int(0), row.Text(1)));
          return absl::OkStatus();
        }));
    golden.attention = SumOf(folds);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<GoldenResult>> ReadGoldens(Database& db, const std::string& id,
                                                      int folds) {
  std::vector<GoldenResult> goldens;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT v.model, v.format, sum(g.images), sum(g.top1), sum(g.top5), min(100.0 * g.top1 / "
      "g.images), max(100.0 * g.top1 / g.images) FROM goldens g JOIN variants v ON v.id = "
      "g.variant WHERE v.campaign = ? GROUP BY v.id HAVING count(*) = ? ORDER BY v.id",
      {id, folds}, [&](const Row& row) {
        goldens.push_back({row.Text(0), row.Text(1), row.Int(2), row.Int(3), row.Int(4),
                           AttentionDistances{}, row.Double(5), row.Double(6)});
        return absl::OkStatus();
      }));
  return goldens;
}

absl::StatusOr<StoredCampaign> ReadCampaign(Database& db, const std::string& id) {
  StoredCampaign campaign;
  bool found = false;
  RETURN_IF_ERROR(
      db.ForEach("SELECT name, resolved, data_digest, images, json_array_length(fold_sizes) FROM "
                 "campaigns WHERE id = ?",
                 {id}, [&](const Row& row) {
                   found = true;
                   campaign.name = row.Text(0);
                   campaign.resolved_json = row.Text(1);
                   campaign.data_digest = row.Text(2);
                   campaign.images = row.Int(3);
                   campaign.folds = static_cast<int>(row.Int(4));
                   return absl::OkStatus();
                 }));
  if (!found) {
    return absl::NotFoundError(absl::StrCat("no campaign '", id, "'; see `bitquake list`"));
  }
  RETURN_IF_ERROR(db.ForEach("SELECT model, digest, config, chunk FROM models WHERE campaign = ?",
                             {id}, [&](const Row& row) {
                               campaign.models.push_back({row.Text(0), row.Text(1), row.Text(2),
                                                          static_cast<int>(row.Int(3))});
                               return absl::OkStatus();
                             }));
  ASSIGN_OR_RETURN(campaign.goldens, ReadGoldens(db, id, campaign.folds));
  RETURN_IF_ERROR(ReadGoldenAttention(db, id, campaign));
  RETURN_IF_ERROR(db.ForEach(
      "SELECT DISTINCT g.device_kind FROM goldens g JOIN variants v ON v.id = g.variant WHERE "
      "v.campaign = ? UNION SELECT DISTINCT o.device_kind FROM outcomes o JOIN cells c ON c.id = "
      "o.cell JOIN variants v ON v.id = c.variant WHERE v.campaign = ?",
      {id, id}, [&](const Row& row) {
        campaign.device_kinds.push_back(row.Text(0));
        return absl::OkStatus();
      }));
  return campaign;
}

absl::Status ReadCells(Database& db, const std::string& id,
                       const std::function<absl::Status(CellResult)>& emit) {
  std::map<int64_t, int64_t> first_number;  // by variant
  int64_t positions = 0;
  RETURN_IF_ERROR(db.ForEach("SELECT id, positions FROM variants WHERE campaign = ? ORDER BY id",
                             {id}, [&](const Row& row) {
                               first_number[row.Int(0)] = positions;
                               positions += row.Int(1);
                               return absl::OkStatus();
                             }));
  CellResult cell;
  int64_t current = 0;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT c.id, p.name, v.model, v.format, c.fault, c.granularity, c.target, c.ber, c.bits, "
      "t.trial, t.images, t.top1, t.top5, t.golden_top1, t.golden_top5, t.sdc, t.due, t.flips, "
      "t.faults_digest, v.id, c.position FROM variants v JOIN campaigns p ON p.id = v.campaign "
      "JOIN cells c ON "
      "c.variant = v.id LEFT JOIN trials t ON t.cell = c.id AND t.finished = 1 WHERE v.campaign = "
      "? ORDER BY v.id, c.position, t.trial",
      {id}, [&](const Row& row) {
        if (row.Int(0) != current) {
          if (current != 0) {
            RETURN_IF_ERROR(emit(std::move(cell)));
          }
          current = row.Int(0);
          cell = CellResult{};
          cell.number = first_number[row.Int(19)] + row.Int(20);
          cell.key = {row.Text(1), row.Text(2), row.Text(3),  row.Text(4),
                      row.Text(5), row.Text(6), row.Double(7)};
          cell.bits = row.Int(8);
        }
        if (!row.IsNull(9)) {
          cell.trials.push_back({static_cast<uint32_t>(row.Int(9)), row.Int(10), row.Int(11),
                                 row.Int(12), row.Int(13), row.Int(14), row.Int(15), row.Int(16),
                                 row.Int(17), row.Text(18)});
        }
        return absl::OkStatus();
      }));
  return current == 0 ? absl::OkStatus() : emit(std::move(cell));
}

absl::Status ReadImages(Database& db, const std::string& id,
                        const std::function<absl::Status(StoredFold)>& fold,
                        const std::function<absl::Status(StoredFoldOutcome)>& outcome) {
  RETURN_IF_ERROR(
      db.ForEach("SELECT fold, images, labels FROM fold_images WHERE campaign = ? ORDER BY fold",
                 {id}, [&](const Row& row) {
                   return fold({static_cast<int>(row.Int(0)), Unpack<int64_t>(row.Text(1)),
                                Unpack<int>(row.Text(2))});
                 }));
  return db.ForEach(
      absl::StrCat("SELECT n.number, o.trial, o.fold, o.images, i.correct, i.same FROM ",
                   kNumberedCells,
                   " n JOIN trials t ON t.cell = n.id AND t.finished = 1 JOIN outcomes o ON o.cell "
                   "= t.cell AND o.trial = t.trial JOIN outcome_images i ON i.job = o.job ORDER BY "
                   "n.number, o.trial, o.fold"),
      {id}, [&](const Row& row) {
        return outcome({row.Int(0), static_cast<uint32_t>(row.Int(1)), static_cast<int>(row.Int(2)),
                        row.Int(3), row.Text(4), row.Text(5)});
      });
}

absl::Status ReadAttention(Database& db, const std::string& id,
                           const std::function<absl::Status(StoredAttention)>& emit) {
  StoredAttention trial;
  std::vector<AttentionDistances> folds;
  const auto end_trial = [&] {
    trial.distances = SumOf(folds);
    folds.clear();
    return emit(trial);
  };
  RETURN_IF_ERROR(db.ForEach(
      absl::StrCat("SELECT n.number, o.trial, a.heads, a.sums FROM ", kNumberedCells,
                   " n JOIN trials t ON t.cell = n.id AND t.finished = 1 JOIN outcomes o ON o.cell "
                   "= t.cell AND o.trial = t.trial JOIN outcome_attention a ON a.job = o.job ORDER "
                   "BY n.number, o.trial, o.fold"),
      {id}, [&](const Row& row) {
        const auto number = static_cast<uint32_t>(row.Int(1));
        if (!folds.empty() && (trial.cell != row.Int(0) || trial.trial != number)) {
          RETURN_IF_ERROR(end_trial());
        }
        trial.cell = row.Int(0);
        trial.trial = number;
        folds.push_back(UnpackSums(row.Int(2), row.Text(3)));
        return absl::OkStatus();
      }));
  return folds.empty() ? absl::OkStatus() : end_trial();
}

}  // namespace bitquake
