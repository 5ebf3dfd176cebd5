#include "common/report/fragility.h"

#include <string>
#include <unordered_map>

#include "common/report/siblings.h"

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

BootstrapOptions Options(const Derivation& derivation) {
  BootstrapOptions options;
  options.confidence = derivation.confidence;
  options.seed = derivation.seed;
  options.resamples = derivation.resamples;
  return options;
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
  const std::vector<Vulnerability> estimates = EstimateVulnerability(siblings, Options(derivation));
  for (size_t k = 0; k < group.size(); ++k) {
    Fragility& fragility = (*fragilities)[group[k]];
    fragility.relative_loss = estimates[k].relative_loss.value;
    fragility.loss_per_mbit = estimates[k].loss_per_mbit.value;
    fragility.vf = estimates[k].vf;
  }
}

void SetRanks(const std::vector<CellResult>& cells, const Group& group,
              const Derivation& derivation, std::vector<Fragility>* fragilities) {
  if (group.size() < 2) {
    return;
  }
  std::vector<std::vector<double>> losses;
  for (const size_t i : group) {
    losses.push_back(TrialLosses(cells[i]));
  }
  const std::vector<TargetRank> ranks =
      RankTargets(losses, /*most_fragile=*/1, Options(derivation));
  for (size_t k = 0; k < group.size(); ++k) {
    Fragility& fragility = (*fragilities)[group[k]];
    fragility.rank = ranks[k].rank;
    fragility.ranks = ranks[k].interval;
    fragility.ranked = static_cast<int>(group.size());
  }
}

}  // namespace

std::vector<double> TrialLosses(const CellResult& cell) {
  std::vector<double> losses;
  losses.reserve(cell.trials.size());
  for (const TrialResult& trial : cell.trials) {
    losses.push_back(100.0 * static_cast<double>(trial.golden_top1 - trial.top1) /
                     static_cast<double>(trial.images));
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
