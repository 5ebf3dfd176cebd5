#include "server/store/check.h"

#include <sqlite3.h>

#include <filesystem>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/campaign/campaign.h"
#include "server/store/migrations.h"
#include "server/store/row_digest.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

using Findings = std::vector<std::string>;

// Queries whose rows are findings: a name, what is counted, what there is.
struct Invariant {
  const char* what;
  const char* sql;
};

constexpr Invariant kInvariants[] = {
    {"jobs done of campaign",
     "SELECT c.id, c.jobs_done, (SELECT count(*) FROM models m WHERE m.campaign = c.id) + (SELECT "
     "count(*) FROM goldens g JOIN variants v ON v.id = g.variant WHERE v.campaign = c.id) + "
     "(SELECT count(*) FROM variants v JOIN cells ON cells.variant = v.id JOIN outcomes o ON "
     "o.cell = cells.id WHERE v.campaign = c.id) AS found FROM campaigns c WHERE c.jobs_done <> "
     "found"},
    {"jobs set aside of campaign",
     "SELECT c.id, c.jobs_poisoned, (SELECT count(*) FROM batches b JOIN jobs j ON j.batch = b.id "
     "WHERE b.campaign = c.id AND j.state = 'poisoned') AS found FROM campaigns c WHERE "
     "c.jobs_poisoned <> found"},
    {"images done of campaign",
     "SELECT c.id, c.images_done, (SELECT coalesce(sum(g.images), 0) FROM goldens g JOIN variants "
     "v ON v.id = g.variant WHERE v.campaign = c.id) + (SELECT coalesce(sum(o.images), 0) FROM "
     "variants v JOIN cells ON cells.variant = v.id JOIN outcomes o ON o.cell = cells.id WHERE "
     "v.campaign = c.id) AS found FROM campaigns c WHERE c.images_done <> found"},
    {"ready jobs of batch",
     "SELECT b.id, b.ready, (SELECT count(*) FROM jobs j WHERE j.batch = b.id AND j.state = "
     "'ready') AS found FROM batches b WHERE b.ready <> found"},
    {"leased jobs without their lease, by job",
     "SELECT j.id, coalesce(j.lease, 0), 0 FROM jobs j WHERE (j.state = 'leased') <> (j.lease IS "
     "NOT NULL) OR (j.lease IS NOT NULL AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.id = "
     "j.lease))"},
    {"jobs that are done and still open, by job",
     "SELECT j.id, 1, 0 FROM jobs j WHERE EXISTS (SELECT 1 FROM outcomes o WHERE o.job = j.id) OR "
     "EXISTS (SELECT 1 FROM goldens g WHERE g.job = j.id)"},
    {"jobs of another variant than their cell, by job",
     "SELECT j.id, b.variant, c.variant FROM jobs j JOIN batches b ON b.id = j.batch JOIN cells c "
     "ON c.id = j.cell WHERE c.variant <> b.variant"},
    {"folds of a trial, by cell and trial",
     "SELECT t.cell || ' ' || t.trial, t.folds_done, count(o.job) AS found FROM trials t LEFT JOIN "
     "outcomes o ON o.cell = t.cell AND o.trial = t.trial GROUP BY t.cell, t.trial HAVING "
     "t.folds_done <> found"},
    {"sums of a trial over its folds, by cell and trial",
     "SELECT t.cell || ' ' || t.trial, t.top1, sum(o.top1) FROM trials t JOIN outcomes o ON o.cell "
     "= t.cell AND o.trial = t.trial GROUP BY t.cell, t.trial HAVING (t.images, t.top1, t.top5, "
     "t.golden_top1, t.golden_top5, t.sdc, t.due, t.inferences) <> (sum(o.images), sum(o.top1), "
     "sum(o.top5), sum(o.golden_top1), sum(o.golden_top5), sum(o.sdc), sum(o.due), "
     "sum(o.inferences))"},
    {"outcomes without a trial, by job",
     "SELECT o.job, 1, 0 FROM outcomes o WHERE NOT EXISTS (SELECT 1 FROM trials t WHERE t.cell = "
     "o.cell AND t.trial = o.trial)"},
    {"sums of a cell over its trials, by cell",
     "SELECT c.id, c.trials_done, count(t.trial) FROM cells c LEFT JOIN trials t ON t.cell = c.id "
     "AND t.finished = 1 GROUP BY c.id HAVING (c.trials_done, c.loss_sum, c.loss_square_sum, "
     "c.images_sum) <> (count(t.trial), coalesce(sum(t.golden_top1 - t.top1), 0), "
     "coalesce(sum((t.golden_top1 - t.top1) * (t.golden_top1 - t.top1)), 0), "
     "coalesce(sum(t.images), 0))"},
};

constexpr size_t kMostOfAKind = 100;

absl::Status AddInvariants(Database& db, Findings& findings) {
  for (const Invariant& invariant : kInvariants) {
    size_t count = 0;
    RETURN_IF_ERROR(
        db.ForEach(absl::StrCat(invariant.sql, " LIMIT ", kMostOfAKind), {}, [&](const Row& row) {
          ++count;
          findings.push_back(absl::StrCat(invariant.what, " ", row.Text(0), ": ", row.Int(1),
                                          " are stored, ", row.Int(2), " follow from the rows"));
          return absl::OkStatus();
        }));
  }
  return absl::OkStatus();
}

absl::Status AddRowDigests(Database& db, Findings& findings) {
  for (const DigestedTable& table : kDigestedTables) {
    RETURN_IF_ERROR(db.ForEach(
        absl::StrCat("SELECT json_array(", table.key, ") FROM ", table.name,
                     " WHERE row_digest <> row_digest(", table.columns, ") LIMIT ", kMostOfAKind),
        {}, [&](const Row& row) {
          findings.push_back(absl::StrCat("table ", table.name, ", row ", row.Text(0),
                                          ": changed since it was written (its digest differs)"));
          return absl::OkStatus();
        }));
  }
  return absl::OkStatus();
}

// Of PRAGMA integrity_check or quick_check: rows of "ok" or a finding.
absl::Status AddPragma(Database& db, const std::string& pragma, Findings& findings) {
  return db.ForEach(pragma, {}, [&](const Row& row) {
    if (row.Text(0) != "ok") {
      findings.push_back(row.Text(0));
    }
    return absl::OkStatus();
  });
}

absl::Status Damaged(Database& db, const char* table, const std::string& row, const char* what) {
  return absl::DataLossError(
      absl::StrCat(db.path(), ": table ", table, ", row ", row, ": ", what, kRestoreRemedy));
}

// For conditions on one campaign or trial.
constexpr char kIt[] = "WITH it(campaign, cell, trial) AS (VALUES (?1, ?2, ?3)) ";

// The digests of the rows that a condition names.
absl::Status CheckRows(Database& db, const char* DigestedTable::*condition,
                       const std::string& campaign, int64_t cell = 0, uint32_t trial = 0) {
  for (const DigestedTable& table : kDigestedTables) {
    RETURN_IF_ERROR(
        db.ForEach(absl::StrCat(kIt, "SELECT json_array(", table.key, ") FROM ", table.name,
                                " WHERE ", table.*condition, " AND row_digest <> row_digest(",
                                table.columns, ") LIMIT 1"),
                   {campaign, cell, trial}, [&](const Row& row) {
                     return Damaged(db, table.name, row.Text(0), "changed since it was written");
                   }));
  }
  return absl::OkStatus();
}

// The sums of the trials that a condition names.
absl::Status CheckSums(Database& db, const char* condition, const std::string& campaign,
                       int64_t cell = 0, uint32_t trial = 0) {
  return db.ForEach(
      absl::StrCat(kIt, "SELECT json_array(t.cell, t.trial) FROM (SELECT * FROM trials WHERE ",
                   condition,
                   ") t LEFT JOIN outcomes o ON o.cell = t.cell AND o.trial = t.trial GROUP BY "
                   "t.cell, t.trial HAVING (t.folds_done, t.images, t.top1, t.top5, t.golden_top1, "
                   "t.golden_top5, t.sdc, t.due, t.inferences) IS NOT (count(o.job), "
                   "sum(o.images), sum(o.top1), sum(o.top5), sum(o.golden_top1), "
                   "sum(o.golden_top5), sum(o.sdc), sum(o.due), sum(o.inferences)) LIMIT 1"),
      {campaign, cell, trial}, [&](const Row& row) {
        return Damaged(db, "trials", row.Text(0), "its sums are not those of its outcomes");
      });
}

// Models and formats follow from the campaign as it was submitted, whose digest is known.
absl::Status CheckVariants(Database& db, const std::string& campaign) {
  std::string resolved;
  RETURN_IF_ERROR(
      db.ForEach("SELECT resolved FROM campaigns WHERE id = ?", {campaign}, [&](const Row& row) {
        resolved = row.Text(0);
        return absl::OkStatus();
      }));
  const absl::StatusOr<Campaign> parsed = ParseCampaign(resolved, campaign);
  if (!parsed.ok()) {
    // Of a version whose files were others, or damaged: that its row's digest tells.
    spdlog::warn("{}: models and formats are not checked: {}", campaign,
                 std::string(parsed.status().message()));
    return absl::OkStatus();
  }
  const std::vector<CampaignVariant> expected = VariantsOf(*parsed);
  size_t count = 0;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT id, model, format, measured FROM variants WHERE campaign = ? ORDER BY id", {campaign},
      [&](const Row& row) {
        const size_t i = count++;
        const bool same = i < expected.size() && row.Text(1) == expected[i].model &&
                          row.Text(2) == expected[i].format &&
                          (row.Int(3) != 0) == expected[i].measured;
        return same ? absl::OkStatus()
                    : Damaged(db, "variants", row.Text(0), "not of its campaign's models");
      }));
  return count == expected.size()
             ? absl::OkStatus()
             : Damaged(db, "variants", campaign, "not all of its campaign's models are there");
}

// The number of images, and of those of each fold, are what golden outcomes have.
absl::Status CheckFolds(Database& db, const std::string& campaign) {
  return db.ForEach(
      "SELECT c.id FROM campaigns c WHERE c.id = ?1 AND CASE WHEN NOT json_valid(c.fold_sizes) "
      "THEN 1 WHEN json_type(c.fold_sizes) <> 'array' THEN 1 ELSE c.images <> "
      "coalesce((SELECT sum(value) FROM json_each(c.fold_sizes)), 0) OR EXISTS (SELECT 1 FROM "
      "variants v JOIN goldens g ON g.variant = v.id WHERE v.campaign = c.id AND g.images IS NOT "
      "json_extract(c.fold_sizes, '$[' || g.fold || ']')) END",
      {campaign}, [&](const Row& row) {
        return Damaged(db, "campaigns", row.Text(0), "its folds are not those of its outcomes");
      });
}

// A damaged page may end a statement: that is a finding, too.
absl::Status DataLossIsAFinding(const absl::Status& status, Findings& findings) {
  if (absl::IsDataLoss(status)) {
    findings.push_back(std::string(status.message()));
    return absl::OkStatus();
  }
  return status;
}

absl::Status AddVariantsAndFolds(Database& db, Findings& findings) {
  std::vector<std::string> campaigns;
  RETURN_IF_ERROR(db.ForEach("SELECT id FROM campaigns", {}, [&](const Row& row) {
    campaigns.push_back(row.Text(0));
    return absl::OkStatus();
  }));
  for (const std::string& campaign : campaigns) {
    for (const auto& check : {CheckVariants, CheckFolds}) {
      RETURN_IF_ERROR(DataLossIsAFinding(check(db, campaign), findings));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CheckPages(Database& db) {
  Findings findings;
  RETURN_IF_ERROR(DataLossIsAFinding(AddPragma(db, "PRAGMA integrity_check", findings), findings));
  return findings;
}

absl::StatusOr<std::vector<std::string>> CheckStore(Database& db) {
  ASSIGN_OR_RETURN(const auto version, db.QueryInt("PRAGMA user_version"));
  if (version.value_or(0) != SchemaVersion()) {
    return absl::FailedPreconditionError(absl::StrCat(
        db.path(), ": its schema has version ", version.value_or(0), ", this program checks ",
        SchemaVersion(), "; start this bitquake-server on it once, or use the one that it is of"));
  }
  ASSIGN_OR_RETURN(Findings findings, CheckPages(db));
  if (!findings.empty()) {
    return findings;  // no use in counting what is in damaged pages
  }
  RETURN_IF_ERROR(
      db.ForEach("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check LIMIT "
                 "100",
                 {}, [&](const Row& row) {
                   findings.push_back(absl::StrCat("table ", row.Text(0), ", row ", row.Text(1),
                                                   ": refers to no row of ", row.Text(2)));
                   return absl::OkStatus();
                 }));
  RETURN_IF_ERROR(AddRowDigests(db, findings));
  RETURN_IF_ERROR(AddVariantsAndFolds(db, findings));
  RETURN_IF_ERROR(AddInvariants(db, findings));
  return findings;
}

absl::Status CheckMeasured(Database& db, const std::string& campaign) {
  RETURN_IF_ERROR(CheckRows(db, &DigestedTable::of_campaign, campaign));
  RETURN_IF_ERROR(CheckVariants(db, campaign));
  RETURN_IF_ERROR(CheckFolds(db, campaign));
  RETURN_IF_ERROR(db.ForEach(
      "SELECT c.id FROM variants v JOIN cells c ON c.variant = v.id LEFT JOIN trials t ON t.cell = "
      "c.id AND t.finished = 1 WHERE v.campaign = ?1 GROUP BY c.id HAVING (c.trials_done, "
      "c.loss_sum, c.images_sum) IS NOT (count(t.trial), coalesce(sum(t.golden_top1 - t.top1), "
      "0), coalesce(sum(t.images), 0)) LIMIT 1",
      {campaign}, [&](const Row& row) {
        return Damaged(db, "cells", row.Text(0), "its sums are not those of its finished trials");
      }));
  return CheckSums(db, kOfItsCells, campaign);
}

absl::Status CheckTrial(Database& db, const std::string& campaign, int64_t cell, uint32_t trial) {
  RETURN_IF_ERROR(CheckRows(db, &DigestedTable::of_trial, campaign, cell, trial));
  RETURN_IF_ERROR(CheckVariants(db, campaign));
  return CheckSums(db, kOfTrial, campaign, cell, trial);
}

absl::Status QuickCheck(Database& db, absl::Duration budget, const Clock& clock) {
  const absl::Duration end = clock.Monotonic() + budget;
  db.SetInterrupt([&] {
    return clock.Monotonic() < end ? absl::OkStatus() : absl::DeadlineExceededError("quick check");
  });
  absl::Cleanup no_interrupt = [&] { db.SetInterrupt(nullptr); };
  // Of a table's tree of pages SQLite looks at all without asking for interrupts: a file so large
  // that this alone takes long is not looked at.
  constexpr uintmax_t kLargest = uintmax_t{2} << 30;
  std::error_code error;
  const bool whole = std::filesystem::file_size(db.path(), error) <= kLargest && !error;
  Findings findings;
  const absl::Status status = DataLossIsAFinding(
      AddPragma(db, whole ? "PRAGMA quick_check(1)" : "PRAGMA quick_check(sqlite_schema)",
                findings),
      findings);
  if (!findings.empty()) {
    return absl::DataLossError(
        absl::StrCat(db.path(), ": is damaged: ", findings.front(), kRestoreRemedy));
  }
  if (absl::IsDeadlineExceeded(status) || !whole) {
    spdlog::info("{} is large: not all of it was checked; bitquake-server --check does", db.path());
    return absl::OkStatus();
  }
  return status;
}

}  // namespace bitquake
