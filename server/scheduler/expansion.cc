#include "server/scheduler/expansion.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/campaign/cell_rates.h"
#include "common/campaign/folds.h"
#include "common/model/attention_distance.h"
#include "common/model/surface.h"
#include "common/stats/threshold_search.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/trial_plan.h"

namespace bitquake {
namespace {

std::string NewCampaignId(const std::string& name) {
  std::random_device random;
  return absl::StrFormat("%s-%08x", name, random());
}

absl::StatusOr<int64_t> AddBatch(Database& db, const std::string& campaign, int64_t variant,
                                 JobKind kind, int fold, int64_t jobs) {
  RETURN_IF_ERROR(
      db.Run("INSERT INTO batches (campaign, variant, kind, fold, ready) VALUES (?, ?, ?, ?, ?)",
             {campaign, variant, static_cast<int>(kind), fold, jobs}));
  return db.last_insert_id();
}

absl::Status AddJob(Database& db, int64_t batch, std::optional<int64_t> cell, uint32_t trial,
                    int fold) {
  return db.Run("INSERT INTO jobs (batch, cell, trial, fold) VALUES (?, ?, ?, ?)",
                {batch, cell ? Value(*cell) : Value(nullptr), trial, fold});
}

nlohmann::json TensorsToJson(const std::vector<TensorInfo>& tensors) {
  nlohmann::json list = nlohmann::json::array();
  for (const TensorInfo& tensor : tensors) {
    list.push_back({{"name", tensor.name}, {"shape", tensor.shape}});
  }
  return list;
}

struct Variant {
  int64_t id;
  std::string model;
  NumberFormat format;
  bool measured;
};

absl::StatusOr<std::vector<Variant>> LoadVariants(Database& db, const std::string& campaign) {
  std::vector<Variant> variants;
  RETURN_IF_ERROR(
      db.ForEach("SELECT id, model, format, measured FROM variants WHERE campaign = ? ORDER BY id",
                 {campaign}, [&](const Row& row) {
                   ASSIGN_OR_RETURN(const NumberFormat format, NumberFormat::FromName(row.Text(2)));
                   variants.push_back({row.Int(0), row.Text(1), format, row.Int(3) != 0});
                   return absl::OkStatus();
                 }));
  return variants;
}

// By model. Errors: also InvalidArgument for a model that has not what the campaign measures.
absl::StatusOr<std::map<std::string, Surface>> LoadSurfaces(Database& db, const std::string& id,
                                                            const Campaign& campaign) {
  std::map<std::string, Surface> surfaces;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT model, config, tensors FROM models WHERE campaign = ?", {id}, [&](const Row& row) {
        ASSIGN_OR_RETURN(const std::vector<TensorInfo> tensors,
                         TensorsFromJson(db, id, row.Text(2)));
        ASSIGN_OR_RETURN(const Architecture architecture, DeriveArchitecture(row.Text(1), tensors));
        if (campaign.attention_distance != Campaign::AttentionDistance::kNone) {
          RETURN_IF_ERROR(FindPatchAttention(architecture).status());
        }
        ASSIGN_OR_RETURN(surfaces[row.Text(0)],
                         MakeSurface(architecture, tensors, campaign.surface));
        return absl::OkStatus();
      }));
  return surfaces;
}

// The rates, by their indices, that cells are made of at first: all; or where they are searched
// for, those that the search begins with.
absl::StatusOr<std::vector<int>> FirstRates(const Campaign& campaign, const FaultModel& fault,
                                            const Granularity& granularity, size_t rates) {
  std::vector<int> first(rates);
  std::iota(first.begin(), first.end(), 0);
  if (!IsSearched(campaign, fault, granularity)) {
    return first;
  }
  ASSIGN_OR_RETURN(const SearchPlan plan, PlanSearch(SearchProblemOf(campaign), {}));
  return plan.next;
}

// How many cells a variant has, and how many positions: each rate of a search has its position,
// whether it gets a cell or not.
struct VariantCells {
  int64_t cells = 0;
  int64_t positions = 0;
};

// Adds the cells of one variant under one fault model to those that `count` says it has:
// granularity, then target, then BER, as the results list them.
absl::Status AddCells(Database& db, const Campaign& campaign, const FaultModel& fault,
                      const Variant& variant, const Surface& surface, VariantCells* count) {
  const absl::StatusOr<CellRates> cell_rates =
      CellRates::Make(campaign, fault, surface, variant.format);
  if (!cell_rates.ok()) {
    return Annotate(cell_rates.status(), variant.model);
  }
  const std::string label = fault.Label();
  for (size_t g = 0; g < campaign.granularities.size(); ++g) {
    const Granularity& granularity = campaign.granularities[g];
    ASSIGN_OR_RETURN(const std::vector<Target> targets,
                     ExpandTargets(surface, granularity, variant.format));
    for (const Target& target : targets) {
      const absl::StatusOr<std::vector<double>> rates = cell_rates->Of(granularity, target);
      if (!rates.ok()) {
        return Annotate(rates.status(), variant.model);
      }
      ASSIGN_OR_RETURN(const std::vector<int> first,
                       FirstRates(campaign, fault, granularity, rates->size()));
      count->cells += static_cast<int64_t>(first.size());
      if (count->cells > kMaxCells) {
        return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxCells, " cells in ",
                                                       variant.model, "; split the campaign"));
      }
      for (const int rate : first) {
        RETURN_IF_ERROR(db.Run(
            "INSERT INTO cells (variant, position, fault, granularity, granularity_index, target, "
            "bits, ber) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            {variant.id, count->positions + rate, label, target.granularity,
             static_cast<int64_t>(g), target.name, cell_rates->BitsOf(target),
             (*rates)[static_cast<size_t>(rate)]}));
      }
      count->positions += static_cast<int64_t>(rates->size());
    }
  }
  return absl::OkStatus();
}

// Under all fault models of the campaign, one after the other. Returns how many there are.
absl::StatusOr<int64_t> AddCellsOfVariant(Database& db, const Campaign& campaign,
                                          const Variant& variant, const Surface& surface) {
  VariantCells count;
  for (const FaultModel& fault : campaign.faults) {
    RETURN_IF_ERROR(AddCells(db, campaign, fault, variant, surface, &count));
  }
  RETURN_IF_ERROR(
      db.Run("UPDATE variants SET positions = ? WHERE id = ?", {count.positions, variant.id}));
  return count.cells;
}

// Everything that follows from the probes: cells, golden jobs, the number of jobs.
absl::Status ExpandCells(Database& db, const std::string& id) {
  ASSIGN_OR_RETURN(const Campaign campaign, LoadCampaign(db, id));
  ASSIGN_OR_RETURN(const std::vector<Variant> variants, LoadVariants(db, id));
  ASSIGN_OR_RETURN(const auto surfaces, LoadSurfaces(db, id, campaign));
  ASSIGN_OR_RETURN(
      const auto folds,
      db.QueryInt("SELECT json_array_length(fold_sizes) FROM campaigns WHERE id = ?", {id}));
  const int fold_count = static_cast<int>(folds.value_or(0));
  const int64_t folds_per_trial =
      static_cast<int64_t>(FoldsOfTrial(campaign, fold_count, /*trial=*/0).size());
  int64_t jobs = 0;
  for (const Variant& variant : variants) {
    for (int fold = 0; fold < fold_count; ++fold) {
      ASSIGN_OR_RETURN(const int64_t batch,
                       AddBatch(db, id, variant.id, JobKind::kGolden, fold, /*jobs=*/1));
      RETURN_IF_ERROR(AddJob(db, batch, std::nullopt, 0, fold));
      ++jobs;
    }
    if (variant.measured) {
      ASSIGN_OR_RETURN(const int64_t cells,
                       AddCellsOfVariant(db, campaign, variant, surfaces.at(variant.model)));
      // The jobs of planned trials are counted when they are known to be needed.
      jobs += IsPlanned(campaign) ? 0 : cells * campaign.trials.max * folds_per_trial;
    }
  }
  return db.Run(
      "UPDATE campaigns SET jobs_total = jobs_total + ?, state = iif(state = 'paused', 'paused', "
      "'running'), paused_state = iif(state = 'paused', 'running', '') WHERE id = ?",
      {jobs, id});
}

absl::Status PinData(Database& db, const std::string& campaign, const std::string& model,
                     const ProbeOutcome& probe) {
  std::string pinned;
  RETURN_IF_ERROR(
      db.ForEach("SELECT data_digest FROM campaigns WHERE id = ?", {campaign}, [&](const Row& row) {
        pinned = row.Text(0);
        return absl::OkStatus();
      }));
  if (!pinned.empty() && pinned != probe.data_digest) {
    return absl::FailedPreconditionError(
        absl::StrCat("the data set on this worker (digest ", probe.data_digest.substr(0, 12),
                     ") is not the one that the campaign began with (", pinned.substr(0, 12), ")"));
  }
  if (pinned.empty()) {
    RETURN_IF_ERROR(db.Run(
        "UPDATE campaigns SET data_digest = ?, images = ?, fold_sizes = ? WHERE id = ?",
        {probe.data_digest, probe.images, nlohmann::json(probe.fold_sizes).dump(), campaign}));
  }
  return db.Run(
      "INSERT INTO models (campaign, model, digest, config, tensors, chunk) VALUES (?, ?, ?, ?, ?, "
      "?)",
      {campaign, model, probe.model_digest, probe.config_json, TensorsToJson(probe.tensors).dump(),
       probe.chunk});
}

}  // namespace

absl::StatusOr<std::vector<TensorInfo>> TensorsFromJson(const Database& db,
                                                        const std::string& campaign,
                                                        const std::string& text) {
  try {
    std::vector<TensorInfo> tensors;
    for (const auto& entry : nlohmann::json::parse(text)) {
      tensors.push_back({entry.at("name"), entry.at("shape")});
    }
    return tensors;
  } catch (const nlohmann::json::exception&) {
    return absl::DataLossError(absl::StrCat(db.path(), ": table models, campaign ", campaign,
                                            ": its tensors are no list of names and shapes; "
                                            "restore a backup"));
  }
}

absl::StatusOr<Campaign> LoadCampaign(Database& db, const std::string& id) {
  std::string resolved;
  RETURN_IF_ERROR(
      db.ForEach("SELECT resolved FROM campaigns WHERE id = ?", {id}, [&](const Row& row) {
        resolved = row.Text(0);
        return absl::OkStatus();
      }));
  absl::StatusOr<Campaign> campaign = ParseCampaign(resolved, id);
  if (!campaign.ok()) {
    return absl::DataLossError(absl::StrCat(
        db.path(), ": table campaigns: ", campaign.status().message(), "; restore a backup"));
  }
  return campaign;
}

absl::StatusOr<bool> AddCampaign(Database& db, const Campaign& campaign,
                                 const std::string& request_id, int64_t unix_ms, std::string* id) {
  id->clear();
  RETURN_IF_ERROR(db.ForEach("SELECT id FROM campaigns WHERE request_id = ?", {request_id},
                             [&](const Row& row) {
                               *id = row.Text(0);
                               return absl::OkStatus();
                             }));
  if (!id->empty()) {
    return false;
  }
  *id = NewCampaignId(campaign.name);
  RETURN_IF_ERROR(
      db.Run("INSERT INTO campaigns (id, request_id, name, resolved, state, submitted_unix_ms, "
             "jobs_total) VALUES (?, ?, ?, ?, 'probing', ?, ?)",
             {*id, request_id, campaign.name, ToJson(campaign), unix_ms,
              static_cast<int64_t>(campaign.models.size())}));
  std::map<std::string, int64_t> first_variants;  // by model
  for (const CampaignVariant& variant : VariantsOf(campaign)) {
    RETURN_IF_ERROR(
        db.Run("INSERT INTO variants (campaign, model, format, measured) VALUES (?, ?, ?, ?)",
               {*id, variant.model, variant.format, variant.measured}));
    first_variants.emplace(variant.model, db.last_insert_id());
  }
  for (const std::string& model : campaign.models) {
    ASSIGN_OR_RETURN(const int64_t batch, AddBatch(db, *id, first_variants[model], JobKind::kProbe,
                                                   /*fold=*/0, /*jobs=*/1));
    RETURN_IF_ERROR(AddJob(db, batch, std::nullopt, 0, 0));
  }
  return true;
}

absl::Status AcceptProbe(Database& db, const std::string& campaign, const std::string& model,
                         const ProbeOutcome& probe) {
  RETURN_IF_ERROR(PinData(db, campaign, model, probe));
  ASSIGN_OR_RETURN(const auto missing,
                   db.QueryInt("SELECT count(DISTINCT model) - (SELECT count(*) FROM models WHERE "
                               "campaign = ?) FROM variants WHERE campaign = ?",
                               {campaign, campaign}));
  if (missing.value_or(0) > 0) {
    return absl::OkStatus();
  }
  absl::Status expanded = db.InSavepoint([&](Database& db) { return ExpandCells(db, campaign); });
  if (absl::IsNotFound(expanded) || absl::IsInvalidArgument(expanded)) {
    return db.Run("UPDATE campaigns SET state = 'failed', error = ? WHERE id = ?",
                  {expanded.message(), campaign});
  }
  return expanded;
}

std::vector<int> FoldsOfTrial(const Campaign& campaign, int folds, uint32_t trial) {
  if (campaign.images.kind == ImageSelection::Kind::kSpread) {
    return SpreadFolds(folds, campaign.images.count, trial, campaign.seed);
  }
  std::vector<int> all(folds);
  for (int fold = 0; fold < folds; ++fold) {
    all[fold] = fold;
  }
  return all;
}

absl::Status AddTrialJobs(Database& db, const std::string& campaign_id, int64_t variant,
                          const Campaign& campaign, int folds,
                          const std::vector<CellTrial>& trials) {
  std::map<int, std::vector<CellTrial>> by_fold;
  for (const CellTrial& member : trials) {
    for (const int fold : FoldsOfTrial(campaign, folds, member.trial)) {
      by_fold[fold].push_back(member);
    }
  }
  for (const auto& [fold, members] : by_fold) {
    ASSIGN_OR_RETURN(const int64_t batch, AddBatch(db, campaign_id, variant, JobKind::kTrials, fold,
                                                   static_cast<int64_t>(members.size())));
    for (const auto& [cell, trial] : members) {
      RETURN_IF_ERROR(AddJob(db, batch, cell, trial, fold));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ExpandWave(Database& db, const std::string& id, const Campaign& campaign,
                                int64_t pairs) {
  int64_t variant = 0;
  int64_t next = 0;
  int64_t cell_count = 0;
  int folds = 0;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT v.id, v.next_pair, v.positions, json_array_length(c.fold_sizes) FROM variants v JOIN "
      "campaigns c ON c.id = v.campaign WHERE v.campaign = ? AND v.next_pair < v.positions * ? "
      "ORDER BY v.next_pair DESC, v.id DESC",
      {id, campaign.trials.max}, [&](const Row& row) {
        variant = row.Int(0);  // the last row wins: the one furthest behind
        next = row.Int(1);
        cell_count = row.Int(2);
        folds = static_cast<int>(row.Int(3));
        return absl::OkStatus();
      }));
  if (variant == 0) {
    return false;
  }
  const int64_t end = std::min(next + pairs, cell_count * campaign.trials.max);
  ASSIGN_OR_RETURN(
      const auto first_cell,
      db.QueryInt("SELECT id FROM cells WHERE variant = ? ORDER BY position LIMIT 1", {variant}));
  std::vector<CellTrial> trials;
  for (int64_t pair = next; pair < end; ++pair) {
    // Cells of a variant were added together, so their ids follow each other.
    trials.push_back({*first_cell + pair % cell_count, static_cast<uint32_t>(pair / cell_count)});
  }
  RETURN_IF_ERROR(AddTrialJobs(db, id, variant, campaign, folds, trials));
  RETURN_IF_ERROR(db.Run("UPDATE variants SET next_pair = ? WHERE id = ?", {end, variant}));
  return true;
}

}  // namespace bitquake
