#include "common/report/protection_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/report/cell_summary.h"
#include "common/stats/trial_design.h"

namespace bitquake {
namespace {

constexpr double kConfidence = 0.95;
// Between a rate as it is typed and as a grid makes it.
constexpr double kSameRate = 1e-6;

// "blocks.3" and 7 of "blocks.3.bit7"; "model" and 7 of "bit7".
struct BitName {
  std::string target;
  std::optional<int> position;  // none: all bits of the target
};

BitName ParseName(const std::string& name) {
  const size_t at = name.rfind("bit");
  int bit;
  if (at == std::string::npos || (at > 0 && name[at - 1] != '.') ||
      !absl::SimpleAtoi(name.substr(at + 3), &bit)) {
    return {name, std::nullopt};
  }
  return {at == 0 ? "model" : name.substr(0, at - 1), bit};
}

double LossOf(const TrialResult& trial) {
  return LossPp(trial.golden_top1, trial.top1, trial.images);
}

std::string Percent(int64_t part, int64_t whole) {
  return absl::StrCat(part, " of ", whole, " bits");
}

// The only value that cells have, or the one that is asked for.
absl::StatusOr<std::string> Choose(const std::vector<const CellResult*>& cells,
                                   std::string CellKey::*field, const std::string& asked,
                                   absl::string_view what) {
  std::set<std::string> values;
  for (const CellResult* cell : cells) {
    values.insert(cell->key.*field);
  }
  if (!asked.empty() && values.count(asked) == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the campaign has no ", what, " '", asked, "'; it has ", absl::StrJoin(values, ", "),
        DidYouMean(asked, {values.begin(), values.end()})));
  }
  if (asked.empty() && values.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat("the campaign has several ", what,
                                                   "s: ", absl::StrJoin(values, ", "),
                                                   "; choose one by --", what));
  }
  return asked.empty() ? *values.begin() : asked;
}

void KeepOnly(std::vector<const CellResult*>* cells, std::string CellKey::*field,
              const std::string& value) {
  cells->erase(std::remove_if(cells->begin(), cells->end(),
                              [&](const CellResult* cell) { return cell->key.*field != value; }),
               cells->end());
}

absl::StatusOr<double> ChooseRate(const std::vector<const CellResult*>& cells, double asked) {
  std::set<double> rates;
  for (const CellResult* cell : cells) {
    rates.insert(cell->key.ber);
    if (std::abs(cell->key.ber - asked) <= kSameRate * asked) {
      return cell->key.ber;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the campaign has no BER ", FormatNumber(asked), "; it has ",
      absl::StrJoin(rates, ", ",
                    [](std::string* out, double rate) { out->append(FormatNumber(rate)); })));
}

int64_t BitsOf(const std::vector<const CellResult*>& cells) {
  return std::accumulate(cells.begin(), cells.end(), int64_t{0},
                         [](int64_t sum, const CellResult* cell) { return sum + cell->bits; });
}

// The cells that may be protected, by granularity.
using Families = std::map<std::string, std::vector<const CellResult*>>;

Families FamiliesOf(const std::vector<const CellResult*>& cells, bool by_bits) {
  Families families;
  for (const CellResult* cell : cells) {
    const bool is_bit = ParseName(cell->key.target).position.has_value();
    if (is_bit == by_bits && (is_bit || cell->key.granularity != "model")) {
      families[cell->key.granularity].push_back(cell);
    }
  }
  return families;
}

std::string Coverage(const Families& families, int64_t model_bits) {
  std::vector<std::string> lines;
  for (const auto& [name, cells] : families) {
    lines.push_back(absl::StrCat(name, " has ", Percent(BitsOf(cells), model_bits)));
  }
  return absl::StrJoin(lines, ", ");
}

// Those whose targets are protected: they make up the model.
absl::StatusOr<Families> ChooseFamilies(const Families& all, const std::vector<std::string>& asked,
                                        bool by_bits, int64_t model_bits) {
  const absl::string_view of = by_bits ? "bit positions of targets" : "targets";
  if (all.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the campaign has no ", of, " at this BER",
        by_bits ? "; give granularities 'bits: each'" : " but the whole model; or use --bits"));
  }
  Families chosen;
  for (const std::string& name : asked) {
    const auto family = all.find(name);
    if (family == all.end()) {
      std::vector<std::string> known;
      for (const auto& [granularity, cells] : all) {
        known.push_back(granularity);
      }
      return absl::InvalidArgumentError(
          absl::StrCat("the campaign has no ", of, " of granularity '", name, "' at this BER; ",
                       Coverage(all, model_bits), DidYouMean(name, known)));
    }
    chosen.insert(*family);
  }
  if (asked.empty()) {
    for (const auto& family : all) {
      if (BitsOf(family.second) == model_bits) {
        chosen.insert(family);
      }
    }
    if (chosen.size() > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("targets of several granularities make up the model (",
                       Coverage(chosen, model_bits), "); choose by --granularity"));
    }
    if (chosen.empty()) {
      chosen = all;
    }
  }
  int64_t bits = 0;
  for (const auto& [name, cells] : chosen) {
    bits += BitsOf(cells);
  }
  if (bits != model_bits) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ", of, " do not make up the model (", Coverage(chosen, model_bits),
                     "), so what the others lose is not known; measure granularities that do, as "
                     "tensor or part, "
                     "or choose some by --granularity"));
  }
  return chosen;
}

// The numbers of the trials that all cells have.
std::vector<uint32_t> CommonTrials(const std::vector<const CellResult*>& cells) {
  std::map<uint32_t, size_t> count;
  for (const CellResult* cell : cells) {
    for (const TrialResult& trial : cell->trials) {
      ++count[trial.trial];
    }
  }
  std::vector<uint32_t> common;
  for (const auto& [trial, having] : count) {
    if (having == cells.size()) {
      common.push_back(trial);
    }
  }
  return common;
}

std::vector<double> LossesIn(const CellResult& cell, const std::vector<uint32_t>& trials) {
  std::vector<double> losses;
  for (const TrialResult& trial : cell.trials) {
    if (std::binary_search(trials.begin(), trials.end(), trial.trial)) {
      losses.push_back(LossOf(trial));
    }
  }
  return losses;
}

}  // namespace

absl::StatusOr<Loss> LossOf(const CellResult& cell) {
  const std::vector<double> losses = TrialLosses(cell);
  if (losses.size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat("cell ", cell.number, " (", cell.key.target,
                                                   ") has ", losses.size(),
                                                   " finished trials; at least 2 are needed"));
  }
  return Loss{Mean(losses), PrecisionOf(cell).loss};
}

absl::StatusOr<ProtectionPlan> ProtectionPlan::Make(const std::vector<CellResult>& all_cells,
                                                    const ProtectionQuestion& question) {
  std::vector<const CellResult*> cells;
  cells.reserve(all_cells.size());
  for (const CellResult& cell : all_cells) {
    cells.push_back(&cell);
  }
  if (cells.empty()) {
    return absl::InvalidArgumentError("the campaign has no cells");
  }
  ProtectionPlan plan;
  plan.question_ = question;
  ASSIGN_OR_RETURN(plan.question_.model, Choose(cells, &CellKey::model, question.model, "model"));
  KeepOnly(&cells, &CellKey::model, plan.question_.model);
  ASSIGN_OR_RETURN(plan.question_.format,
                   Choose(cells, &CellKey::format, question.format, "format"));
  KeepOnly(&cells, &CellKey::format, plan.question_.format);
  ASSIGN_OR_RETURN(plan.question_.fault, Choose(cells, &CellKey::fault, question.fault, "fault"));
  KeepOnly(&cells, &CellKey::fault, plan.question_.fault);
  ASSIGN_OR_RETURN(plan.question_.ber, ChooseRate(cells, question.ber));
  cells.erase(
      std::remove_if(cells.begin(), cells.end(),
                     [&](const CellResult* cell) { return cell->key.ber != plan.question_.ber; }),
      cells.end());

  const auto model = std::find_if(cells.begin(), cells.end(), [](const CellResult* cell) {
    return cell->key.granularity == "model" && cell->key.target == "model";
  });
  if (model == cells.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the campaign has no cell of the whole model at BER ",
                     FormatNumber(plan.question_.ber), "; add granularity 'model'"));
  }
  plan.model_bits_ = (*model)->bits;
  ASSIGN_OR_RETURN(plan.unprotected_, LossOf(**model));

  const Families measured = FamiliesOf(cells, question.by_bits);
  ASSIGN_OR_RETURN(const Families chosen, ChooseFamilies(measured, question.granularities,
                                                         question.by_bits, plan.model_bits_));
  plan.question_.granularities.clear();
  std::vector<const CellResult*> targets;
  for (const auto& [name, family] : chosen) {
    plan.question_.granularities.push_back(name);
    targets.insert(targets.end(), family.begin(), family.end());
  }
  std::sort(targets.begin(), targets.end(),
            [](const CellResult* a, const CellResult* b) { return a->number < b->number; });
  RETURN_IF_ERROR(plan.AddParts(targets));
  RETURN_IF_ERROR(plan.FindSets());
  return plan;
}

absl::Status ProtectionPlan::AddParts(const std::vector<const CellResult*>& targets) {
  const std::vector<uint32_t> trials = CommonTrials(targets);
  if (trials.size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat("the targets have ", trials.size(),
                                                   " trials in common; at least 2 are needed"));
  }
  trials_ = trials.size();
  std::map<std::string, size_t> index;
  for (const CellResult* cell : targets) {
    if (cell->bits == 0) {
      continue;  // protected already
    }
    const BitName name = ParseName(cell->key.target);
    const auto [at, is_new] = index.emplace(name.target, parts_.size());
    if (is_new) {
      parts_.push_back({cell->key.granularity, name.target, {}});
    }
    std::vector<double> losses = LossesIn(*cell, trials);
    const double loss = std::max(0.0, Mean(losses));
    parts_[at->second].pieces.push_back(
        {name.position.value_or(-1), cell->bits, loss, std::move(losses)});
  }
  for (Part& part : parts_) {
    std::sort(part.pieces.begin(), part.pieces.end(),
              [](const Piece& a, const Piece& b) { return a.position > b.position; });
    for (size_t i = 1; i < part.pieces.size(); ++i) {
      if (part.pieces[i].position == part.pieces[i - 1].position) {
        return absl::InvalidArgumentError(
            absl::StrCat("target '", part.target, "' is in the campaign twice"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ProtectionPlan::FindSets() {
  std::vector<ProtectionPart> parts;
  for (const Part& part : parts_) {
    ProtectionPart& steps = parts.emplace_back(part.pieces.size() + 1);
    for (size_t n = part.pieces.size(); n > 0; --n) {
      steps[n - 1].loss = steps[n].loss + part.pieces[n - 1].loss;
    }
    for (size_t n = 0; n < part.pieces.size(); ++n) {
      steps[n + 1].bits = steps[n].bits + part.pieces[n].bits;
    }
  }
  ASSIGN_OR_RETURN(sets_, ProtectionFrontier(parts));
  // What is left: each part's rest, the smallest first.
  std::vector<std::pair<int64_t, size_t>> rest;
  for (size_t i = 0; i < parts.size(); ++i) {
    const ProtectionStep& now = parts[i][sets_.back().steps[i]];
    rest.emplace_back(parts[i].back().bits - now.bits, i);
  }
  std::sort(rest.begin(), rest.end());
  for (const auto& [bits, i] : rest) {
    if (bits > 0) {
      ProtectionChoice more = sets_.back();
      more.bits += bits;
      more.steps[i] = static_cast<int>(parts[i].size()) - 1;
      sets_.push_back(std::move(more));
    }
  }
  return absl::OkStatus();
}

Loss ProtectionPlan::predicted(size_t set) const {
  std::vector<double> sums(trials_);
  for (size_t i = 0; i < parts_.size(); ++i) {
    for (size_t n = sets_[set].steps[i]; n < parts_[i].pieces.size(); ++n) {
      for (size_t t = 0; t < trials_; ++t) {
        sums[t] += parts_[i].pieces[n].losses[t];
      }
    }
  }
  const Interval around = StudentInterval(sums, kConfidence);
  const double half_width = (around.high - around.low) / 2;
  const double mean = sets_[set].loss;
  return {mean, {mean - half_width, mean + half_width}};
}

std::vector<ProtectedPart> ProtectionPlan::parts(size_t set) const {
  std::vector<ProtectedPart> chosen;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    const auto step = static_cast<size_t>(sets_[set].steps[i]);
    if (step == 0) {
      continue;
    }
    ProtectedPart& added = chosen.emplace_back(ProtectedPart{part.granularity, part.target, {}});
    for (size_t n = 0; n < step; ++n) {
      added.bits += part.pieces[n].bits;
      added.loss += Mean(part.pieces[n].losses);
      if (step < part.pieces.size()) {
        added.positions.push_back(part.pieces[n].position);
      }
    }
  }
  return chosen;
}

bool Holds(const Loss& loss, const LossLimit& limit) {
  return (limit.surely ? loss.interval.high : loss.mean) <= limit.pp;
}

size_t SmallestPredicted(const ProtectionPlan& plan, const LossLimit& limit) {
  size_t set = 1;
  while (set + 1 < plan.sets() && !Holds(plan.predicted(set), limit)) {
    ++set;
  }
  return set;
}

}  // namespace bitquake
