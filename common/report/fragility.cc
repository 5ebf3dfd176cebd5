#include "common/report/fragility.h"

#include <numeric>
#include <string>
#include <unordered_map>

#include "common/report/siblings.h"
#include "common/stats/trial_design.h"

namespace bitquake {
namespace {

using Group = std::vector<size_t>;  // indices of cells

// Cells with trials, by what `group_of` says; in the order in which groups first come.
template <typename GroupOf>
std::vector<Group> GroupCells(const std::vector<CellResult>& cells, GroupOf group_of) {
  std::vector<Group> groups;
  std::unordered_map<std::string, size_t> known;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (!cells[i].trials.empty()) {
      const auto [at, is_new] = known.emplace(group_of(cells[i].key), groups.size());
      if (is_new) {
        groups.emplace_back();
      }
      groups[at->second].push_back(i);
    }
  }
  return groups;
}

void SetVulnerability(const std::vector<CellResult>& cells, const Group& group,
                      const Derivation& derivation, std::vector<Fragility>* fragilities) {
  std::vector<Sibling> siblings;
  for (const size_t i : group) {
    const GoldenResult& golden = cells[i].golden;
    siblings.push_back(
        {TrialLosses(cells[i]),
         100.0 * static_cast<double>(golden.top1) / static_cast<double>(golden.images),
         cells[i].bits});
  }
  const std::vector<Vulnerability> estimates =
      EstimateVulnerability(siblings, ResamplingOf(derivation));
  for (size_t k = 0; k < group.size(); ++k) {
    Fragility& fragility = (*fragilities)[group[k]];
    fragility.relative_loss = estimates[k].relative_loss.value;
    fragility.loss_per_mbit = estimates[k].loss_per_mbit.value;
    fragility.vf = estimates[k].vf;
  }
}

// The least common multiple of the numbers of images that trials of the group saw; 0 if it is too
// large to be a unit.
int64_t CommonImages(const std::vector<CellResult>& cells, const Group& group) {
  constexpr int64_t kLargest = 1'000'000'000;
  int64_t common = 1;
  for (const size_t i : group) {
    for (const TrialResult& trial : cells[i].trials) {
      if (trial.images <= 0) {
        return 0;
      }
      if (common % trial.images != 0) {
        common = std::lcm(common, trial.images);
        if (common > kLargest) {
          return 0;
        }
      }
    }
  }
  return common;
}

// What ranks go by: the losses of trials in a unit that makes them whole numbers, so that cells
// that lost as many images are seen to be equal.
std::vector<double> WholeLosses(const CellResult& cell, int64_t common_images) {
  if (common_images == 0) {
    return TrialLosses(cell);
  }
  std::vector<double> losses;
  losses.reserve(cell.trials.size());
  for (const TrialResult& trial : cell.trials) {
    losses.push_back(
        static_cast<double>((trial.golden_top1 - trial.top1) * (common_images / trial.images)));
  }
  return losses;
}

void SetRanks(const std::vector<CellResult>& cells, const Group& group,
              const Derivation& derivation, std::vector<Fragility>* fragilities) {
  if (group.size() < 2) {
    return;
  }
  const int64_t common_images = CommonImages(cells, group);
  std::vector<std::vector<double>> losses;
  for (const size_t i : group) {
    losses.push_back(WholeLosses(cells[i], common_images));
  }
  const std::vector<TargetRank> ranks =
      RankTargets(losses, /*most_fragile=*/1, ResamplingOf(derivation));
  for (size_t k = 0; k < group.size(); ++k) {
    Fragility& fragility = (*fragilities)[group[k]];
    fragility.rank = ranks[k].rank;
    fragility.ranks = ranks[k].interval;
    fragility.ranked = static_cast<int>(group.size());
  }
}

}  // namespace

BootstrapOptions ResamplingOf(const Derivation& derivation) {
  BootstrapOptions options;
  options.confidence = derivation.confidence;
  options.seed = derivation.seed;
  options.resamples = derivation.resamples;
  return options;
}

std::vector<double> TrialLosses(const CellResult& cell) {
  std::vector<double> losses;
  losses.reserve(cell.trials.size());
  for (const TrialResult& trial : cell.trials) {
    losses.push_back(LossPp(trial.golden_top1, trial.top1, trial.images));
  }
  return losses;
}

std::vector<Fragility> EstimateFragility(const std::vector<CellResult>& cells,
                                         const Derivation& derivation) {
  std::vector<Fragility> fragilities(cells.size());
  for (const Group& group : GroupCells(cells, SiblingGroup)) {
    SetVulnerability(cells, group, derivation, &fragilities);
  }
  for (const Group& group : GroupCells(cells, RankingGroup)) {
    SetRanks(cells, group, derivation, &fragilities);
  }
  return fragilities;
}

}  // namespace bitquake
