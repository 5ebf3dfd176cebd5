#include "server/store/trial_reader.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/store/check.h"
#include "server/store/packed.h"

namespace bitquake {
namespace {

// The columns images to inferences, from `first` on.
TrialCounts CountsFrom(const Row& row, int first) {
  return {row.Int(first),     row.Int(first + 1), row.Int(first + 2), row.Int(first + 3),
          row.Int(first + 4), row.Int(first + 5), row.Int(first + 6), row.Int(first + 7)};
}

absl::Status NoSuchCell(Database& db, const std::string& campaign, int64_t cell) {
  ASSIGN_OR_RETURN(const auto known,
                   db.QueryInt("SELECT 1 FROM campaigns WHERE id = ?", {campaign}));
  if (!known.has_value()) {
    return absl::NotFoundError(absl::StrCat("no campaign '", campaign, "'; see `bitquake list`"));
  }
  ASSIGN_OR_RETURN(
      const auto cells,
      db.QueryInt("SELECT sum(positions) FROM variants WHERE campaign = ?", {campaign}));
  const int64_t count = cells.value_or(0);
  return absl::InvalidArgumentError(count == 0
                                        ? absl::StrCat("campaign '", campaign, "' has no cells yet")
                                        : absl::StrCat("no cell ", cell, "; cells are 0 to ",
                                                       count - 1, ", column 'cell' of cells.csv"));
}

absl::StatusOr<Bitmap> BitmapFrom(const Row& row, int column, int64_t images) {
  if (row.IsNull(column)) {
    return Bitmap();
  }
  absl::StatusOr<Bitmap> bitmap = Bitmap::FromBytes(images, row.Text(column));
  return bitmap.ok() ? bitmap : absl::DataLossError(bitmap.status().message());
}

absl::Status ReadFolds(Database& db, int64_t cell, uint32_t trial, TrialRecord& record) {
  return db.ForEach(
      "SELECT o.fold, o.images, o.top1, o.top5, o.golden_top1, o.golden_top5, o.sdc, o.due, "
      "o.inferences, o.right_to_wrong, o.wrong_to_right, o.digest, o.device_kind, g.digest, "
      "g.device_kind, i.correct, i.same, a.heads, a.sums FROM outcomes o JOIN cells c ON c.id = "
      "o.cell JOIN goldens "
      "g ON g.variant = c.variant AND g.fold = o.fold LEFT JOIN outcome_images i ON i.job = o.job "
      "LEFT JOIN outcome_attention a ON a.job = o.job "
      "WHERE o.cell = ? AND o.trial = ? ORDER BY o.fold",
      {cell, trial}, [&](const Row& row) -> absl::Status {
        FoldMeasurement fold;
        fold.fold = static_cast<int>(row.Int(0));
        fold.counts = CountsFrom(row, 1);
        fold.right_to_wrong = row.Int(9);
        fold.wrong_to_right = row.Int(10);
        fold.digest = row.Text(11);
        fold.device_kind = row.Text(12);
        fold.golden_digest = row.Text(13);
        fold.golden_device_kind = row.Text(14);
        ASSIGN_OR_RETURN(fold.correct, BitmapFrom(row, 15, fold.counts.images));
        ASSIGN_OR_RETURN(fold.same, BitmapFrom(row, 16, fold.counts.images));
        fold.attention_digest = DigestOf(UnpackSums(row.Int(17), row.Text(18)));
        record.setup.folds.push_back(fold.fold);
        record.measured.folds.push_back(std::move(fold));
        return absl::OkStatus();
      });
}

absl::StatusOr<bool> ReadSums(Database& db, int64_t cell, uint32_t trial,
                              TrialMeasurement& measured) {
  bool finished = false;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT images, top1, top5, golden_top1, golden_top5, sdc, due, inferences, flips, "
      "flips_per_bit, faults_digest FROM trials WHERE cell = ? AND trial = ? AND finished = 1",
      {cell, trial}, [&](const Row& row) {
        finished = true;
        measured.sum = CountsFrom(row, 0);
        measured.flips = row.Int(8);
        const auto flips = nlohmann::json::parse(row.Text(9), nullptr, /*allow_exceptions=*/false);
        for (const auto& count : flips) {
          measured.flips_per_bit.push_back(count.is_number_integer() ? count.get<int64_t>() : -1);
        }
        measured.faults_digest = row.Text(10);
        return absl::OkStatus();
      }));
  return finished;
}

}  // namespace

absl::StatusOr<TrialRecord> ReadTrial(Database& db, const std::string& campaign, int64_t cell,
                                      uint32_t trial) {
  TrialRecord record;
  record.setup.trial = trial;
  int64_t id = 0;
  if (cell >= 0) {
    RETURN_IF_ERROR(db.ForEach(
        "SELECT c.id, p.resolved, p.data_digest, v.model, m.digest, m.chunk, v.format, "
        "c.granularity_index, c.target, c.ber, c.fault FROM variants v JOIN campaigns p ON p.id = "
        "v.campaign JOIN models m ON m.campaign = p.id AND m.model = v.model JOIN cells c ON "
        "c.variant = v.id AND c.position = ? - (SELECT coalesce(sum(u.positions), 0) FROM variants "
        "u WHERE u.campaign = v.campaign AND u.id < v.id) WHERE v.campaign = ?",
        {cell, campaign}, [&](const Row& row) {
          id = row.Int(0);
          record.setup.resolved_json = row.Text(1);
          record.setup.data_digest = row.Text(2);
          record.setup.model = row.Text(3);
          record.setup.model_digest = row.Text(4);
          record.setup.chunk = static_cast<int>(row.Int(5));
          record.setup.format = row.Text(6);
          record.setup.granularity_index = static_cast<int>(row.Int(7));
          record.setup.target = row.Text(8);
          record.setup.ber = row.Double(9);
          record.setup.fault = row.Text(10);
          return absl::OkStatus();
        }));
  }
  if (id == 0) {
    return NoSuchCell(db, campaign, cell);
  }
  ASSIGN_OR_RETURN(record.finished, ReadSums(db, id, trial, record.measured));
  if (record.finished) {
    RETURN_IF_ERROR(CheckTrial(db, campaign, id, trial));
    RETURN_IF_ERROR(ReadFolds(db, id, trial, record));
  }
  return record;
}

}  // namespace bitquake
