#include "server/store/migrations.h"

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

constexpr int kApplicationId = 0x42517561;  // "BQua", in the file's header

constexpr const char* kVersion1 = R"sql(
-- What people submitted.
CREATE TABLE campaigns (
  ordinal INTEGER PRIMARY KEY,             -- order of submission
  id TEXT NOT NULL UNIQUE,
  request_id TEXT NOT NULL UNIQUE,         -- the client's, makes Submit repeatable
  name TEXT NOT NULL,
  resolved TEXT NOT NULL,                  -- the campaign, JSON
  state TEXT NOT NULL CHECK (state IN ('probing', 'running', 'paused', 'done', 'cancelled', 'failed')),
  paused_state TEXT NOT NULL DEFAULT '',   -- what Resume goes back to
  error TEXT NOT NULL DEFAULT '',
  submitted_unix_ms INTEGER NOT NULL,
  finished_unix_ms INTEGER NOT NULL DEFAULT 0,
  data_digest TEXT NOT NULL DEFAULT '',    -- pinned by the first probe, as are the next two
  images INTEGER NOT NULL DEFAULT 0,
  fold_sizes TEXT NOT NULL DEFAULT '[]',   -- JSON
  jobs_total INTEGER NOT NULL DEFAULT 0,
  jobs_done INTEGER NOT NULL DEFAULT 0,
  jobs_poisoned INTEGER NOT NULL DEFAULT 0,
  images_done INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What a probe found in a model's folder.
CREATE TABLE models (
  campaign TEXT NOT NULL REFERENCES campaigns (id),
  model TEXT NOT NULL,
  digest TEXT NOT NULL,
  config TEXT NOT NULL,                    -- config.json
  tensors TEXT NOT NULL,                   -- JSON: [{"name", "shape"}]
  chunk INTEGER NOT NULL,                  -- images a forward, the same for every job of the model
  PRIMARY KEY (campaign, model)
) STRICT, WITHOUT ROWID;

-- A model in a format.
CREATE TABLE variants (
  id INTEGER PRIMARY KEY,
  campaign TEXT NOT NULL REFERENCES campaigns (id),
  model TEXT NOT NULL,
  format TEXT NOT NULL,
  measured INTEGER NOT NULL,               -- 0: only golden, as the reference
  next_pair INTEGER NOT NULL DEFAULT 0,    -- (cell, trial) pairs that have jobs already
  UNIQUE (campaign, model, format)
) STRICT;

CREATE TABLE cells (
  id INTEGER PRIMARY KEY,                  -- ascending in the campaign's order
  variant INTEGER NOT NULL REFERENCES variants (id),
  position INTEGER NOT NULL,               -- within the variant, from 0
  fault TEXT NOT NULL,
  granularity TEXT NOT NULL,
  granularity_index INTEGER NOT NULL,      -- into the campaign's granularities
  target TEXT NOT NULL,
  bits INTEGER NOT NULL,
  ber REAL NOT NULL,
  trials_done INTEGER NOT NULL DEFAULT 0,
  loss_sum INTEGER NOT NULL DEFAULT 0,         -- images lost (golden - faulty correct) over finished trials
  loss_square_sum INTEGER NOT NULL DEFAULT 0,  -- of the same
  images_sum INTEGER NOT NULL DEFAULT 0,
  UNIQUE (variant, position)
) STRICT;

-- Jobs that share a variant, a kind and a fold: what a lease is cut from.
CREATE TABLE batches (
  id INTEGER PRIMARY KEY,
  campaign TEXT NOT NULL REFERENCES campaigns (id),
  variant INTEGER NOT NULL REFERENCES variants (id),
  kind INTEGER NOT NULL,                   -- 0 probe, 1 golden, 2 trials
  fold INTEGER NOT NULL,
  ready INTEGER NOT NULL                   -- jobs in state ready
) STRICT;
CREATE INDEX ready_batches ON batches (campaign, kind, id) WHERE ready > 0;

-- Jobs that are not done; a job leaves when its outcome is committed.
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  batch INTEGER NOT NULL REFERENCES batches (id),
  cell INTEGER REFERENCES cells (id),      -- NULL for probe and golden jobs
  trial INTEGER NOT NULL,
  fold INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'waiting', 'poisoned')),
  lease INTEGER,
  failures INTEGER NOT NULL DEFAULT 0,     -- reported by workers
  losses INTEGER NOT NULL DEFAULT 0,       -- leases that ended without an answer
  error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX jobs_by_batch ON jobs (batch, state);
CREATE INDEX jobs_by_lease ON jobs (lease) WHERE lease IS NOT NULL;

-- Leases that have not ended. The id is the epoch: never used again.
CREATE TABLE leases (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  worker TEXT NOT NULL,
  request_number INTEGER NOT NULL,
  campaign TEXT NOT NULL REFERENCES campaigns (id),
  variant INTEGER NOT NULL REFERENCES variants (id),
  kind INTEGER NOT NULL,
  jobs INTEGER NOT NULL                    -- at the start
) STRICT;
CREATE INDEX leases_by_worker ON leases (worker);
CREATE INDEX leases_by_campaign ON leases (campaign);

CREATE TABLE workers (
  id TEXT PRIMARY KEY,
  instance TEXT NOT NULL,                  -- of its process
  host TEXT NOT NULL,
  version TEXT NOT NULL,
  device_kind TEXT NOT NULL,
  quarantine TEXT NOT NULL DEFAULT ''      -- why it is no longer trusted; empty if it is
) STRICT, WITHOUT ROWID;

CREATE TABLE goldens (
  variant INTEGER NOT NULL REFERENCES variants (id),
  fold INTEGER NOT NULL,
  job INTEGER NOT NULL UNIQUE,
  images INTEGER NOT NULL,
  top1 INTEGER NOT NULL,
  top5 INTEGER NOT NULL,
  digest TEXT NOT NULL,
  worker TEXT NOT NULL,
  device_kind TEXT NOT NULL,
  confirmed INTEGER NOT NULL DEFAULT 0,    -- 1 when another worker of the kind had the same digest
  predictions BLOB NOT NULL,               -- 32-bit little-endian classes, in the fold's order
  seconds REAL NOT NULL,
  PRIMARY KEY (variant, fold)
) STRICT, WITHOUT ROWID;

-- What a job measured, exactly once.
CREATE TABLE outcomes (
  job INTEGER PRIMARY KEY,
  cell INTEGER NOT NULL REFERENCES cells (id),
  trial INTEGER NOT NULL,
  fold INTEGER NOT NULL,
  images INTEGER NOT NULL,
  top1 INTEGER NOT NULL,
  top5 INTEGER NOT NULL,
  golden_top1 INTEGER NOT NULL,
  golden_top5 INTEGER NOT NULL,
  sdc INTEGER NOT NULL,
  right_to_wrong INTEGER NOT NULL,
  wrong_to_right INTEGER NOT NULL,
  due INTEGER NOT NULL,
  inferences INTEGER NOT NULL,
  digest TEXT NOT NULL,
  worker TEXT NOT NULL,
  device_kind TEXT NOT NULL,
  seconds REAL NOT NULL,
  UNIQUE (cell, trial, fold)
) STRICT;

-- Outcomes summed over the folds that a trial saw.
CREATE TABLE trials (
  cell INTEGER NOT NULL REFERENCES cells (id),
  trial INTEGER NOT NULL,
  folds_done INTEGER NOT NULL,
  finished INTEGER NOT NULL,               -- 1 when all its folds are done
  images INTEGER NOT NULL,
  top1 INTEGER NOT NULL,
  top5 INTEGER NOT NULL,
  golden_top1 INTEGER NOT NULL,
  golden_top5 INTEGER NOT NULL,
  sdc INTEGER NOT NULL,
  due INTEGER NOT NULL,
  inferences INTEGER NOT NULL,
  flips INTEGER NOT NULL,                  -- the same in every fold
  flips_per_bit TEXT NOT NULL,             -- JSON, by position in the word
  faults_digest TEXT NOT NULL,
  PRIMARY KEY (cell, trial)
) STRICT, WITHOUT ROWID;

-- What should never happen, kept: a second outcome that differs, a digest that differs, a failed proof.
CREATE TABLE alarms (
  id INTEGER PRIMARY KEY,
  unix_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  worker TEXT NOT NULL,
  job INTEGER,
  detail TEXT NOT NULL
) STRICT;
)sql";

// What is kept of single trials and images.
constexpr const char* kVersion2 = R"sql(
-- The images of each fold of a campaign that keeps images, in the fold's order.
CREATE TABLE fold_images (
  campaign TEXT NOT NULL REFERENCES campaigns (id),
  fold INTEGER NOT NULL,
  images BLOB NOT NULL,                    -- numbers in the data set, 64-bit little-endian
  labels BLOB NOT NULL,                    -- 32-bit little-endian
  PRIMARY KEY (campaign, fold)
) STRICT, WITHOUT ROWID;

-- Its outcomes image by image: bitmaps in the fold's order, the first image in the least significant
-- bit of the first byte.
CREATE TABLE outcome_images (
  job INTEGER PRIMARY KEY REFERENCES outcomes (job),
  correct BLOB NOT NULL,
  same BLOB NOT NULL                       -- as golden: finite logits and the same prediction
) STRICT;

-- Mean attention distances in pixels, summed over the fold's images: block by block, head by head,
-- as they are and renormalised; 64-bit little-endian floating point.
CREATE TABLE golden_attention (
  variant INTEGER NOT NULL,
  fold INTEGER NOT NULL,
  heads INTEGER NOT NULL,                  -- of each block
  sums BLOB NOT NULL,
  PRIMARY KEY (variant, fold),
  FOREIGN KEY (variant, fold) REFERENCES goldens (variant, fold)
) STRICT, WITHOUT ROWID;
CREATE TABLE outcome_attention (
  job INTEGER PRIMARY KEY REFERENCES outcomes (job),
  heads INTEGER NOT NULL,
  sums BLOB NOT NULL
) STRICT;
)sql";

// Adaptive trials, searches for thresholds, and what was known without inference.
constexpr const char* kVersion3 = R"sql(
ALTER TABLE campaigns ADD COLUMN planned INTEGER NOT NULL DEFAULT 0;  -- 1: jobs_total has the first trials of its cells
-- Of images_done: those of trials without a flip, and those of trials with the same faults as
-- another one beside it.
ALTER TABLE campaigns ADD COLUMN images_without_flips INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN images_copied INTEGER NOT NULL DEFAULT 0;
UPDATE campaigns SET images_without_flips = (
  SELECT coalesce(sum(t.images - t.inferences), 0) FROM trials t JOIN cells c ON c.id = t.cell
  JOIN variants v ON v.id = c.variant WHERE v.campaign = campaigns.id AND t.flips = 0);

-- Positions of cells that the variant has, whether a search has made them cells or not: they number
-- the cells.
ALTER TABLE variants ADD COLUMN positions INTEGER NOT NULL DEFAULT 0;
UPDATE variants SET positions = (SELECT count(*) FROM cells WHERE variant = variants.id);

-- Of a campaign whose trials are planned as it goes on: trials from 0 that have jobs.
ALTER TABLE cells ADD COLUMN trials_wanted INTEGER NOT NULL DEFAULT 0;
-- The trials of its last look, and the sums of their losses in percentage points, added in order.
ALTER TABLE cells ADD COLUMN look_trials INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cells ADD COLUMN look_sum REAL NOT NULL DEFAULT 0;
ALTER TABLE cells ADD COLUMN look_square_sum REAL NOT NULL DEFAULT 0;
ALTER TABLE cells ADD COLUMN look_cube_sum REAL NOT NULL DEFAULT 0;
)sql";

// Stores that can be told apart.
constexpr const char* kVersion4 = R"sql(
CREATE TABLE store (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  identity TEXT NOT NULL                   -- of this store alone
) STRICT;
INSERT INTO store (one, identity) VALUES (1, lower(hex(randomblob(16))));
)sql";

constexpr std::array<const char*, 4> kMigrations = {kVersion1, kVersion2, kVersion3, kVersion4};

}  // namespace

int SchemaVersion() { return static_cast<int>(kMigrations.size()); }

absl::Status Migrate(Database& db) {
  ASSIGN_OR_RETURN(const auto application, db.QueryInt("PRAGMA application_id"));
  ASSIGN_OR_RETURN(const auto found, db.QueryInt("PRAGMA user_version"));
  ASSIGN_OR_RETURN(const auto tables, db.QueryInt("SELECT count(*) FROM sqlite_schema"));
  const int64_t version = found.value_or(0);
  if (tables.value_or(0) > 0 && application.value_or(0) != kApplicationId) {
    return absl::FailedPreconditionError(
        absl::StrCat(db.path(), ": this database is not Bitquake's; name another file"));
  }
  if (version > SchemaVersion()) {
    return absl::FailedPreconditionError(
        absl::StrCat(db.path(), ": its schema has version ", version, ", this program knows ",
                     SchemaVersion(), "; use a newer bitquake-server"));
  }
  for (int64_t next = version + 1; next <= SchemaVersion(); ++next) {
    RETURN_IF_ERROR(db.RunScript(absl::StrCat("BEGIN IMMEDIATE; ", kMigrations[next - 1],
                                              "PRAGMA application_id = ", kApplicationId,
                                              "; PRAGMA user_version = ", next, "; COMMIT;")));
  }
  return absl::OkStatus();
}

}  // namespace bitquake
