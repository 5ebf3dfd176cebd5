#include "common/stats/allocation.h"

#include <algorithm>
#include <utility>

namespace bitquake {

bool TrialAllocator::ComesLater::operator()(const Entry& a, const Entry& b) const {
  if (a.width_for_cost != b.width_for_cost) {
    return a.width_for_cost < b.width_for_cost;
  }
  if (a.cost != b.cost) {
    return a.cost > b.cost;
  }
  return a.cell > b.cell;
}

TrialAllocator::TrialAllocator(SequentialRule rule, absl::Span<const Cell> cells)
    : rule_(std::move(rule)) {
  cells_.reserve(cells.size());
  for (const Cell& cell : cells) {
    AddCell(cell);
  }
}

int64_t TrialAllocator::AddCell(const Cell& cell) {
  const auto index = static_cast<int64_t>(cells_.size());
  cells_.push_back({cell, 0});
  ++open_cells_;
  Queue(index);
  return index;
}

void TrialAllocator::Queue(int64_t cell) {
  State& state = cells_[static_cast<size_t>(cell)];
  if (rule_.IsDone(state.cell.sums)) {
    state.batch = 0;
    --open_cells_;
    return;
  }
  state.batch = rule_.NextLook(state.cell.sums.trials);
  const double cost = state.cell.cost;
  queue_.push({rule_.HalfWidth(state.cell.sums) / cost, cost, cell, state.batch});
}

absl::optional<TrialBatch> TrialAllocator::Next() {
  while (!queue_.empty()) {
    const Entry entry = queue_.top();
    queue_.pop();
    // A cell whose batch came in before it was handed out has another entry by now, or is done.
    if (entry.batch == cells_[static_cast<size_t>(entry.cell)].batch) {
      return TrialBatch{entry.cell, entry.batch};
    }
  }
  return absl::nullopt;
}

void TrialAllocator::Update(int64_t cell, const TrialSums& sums) {
  State& state = cells_[static_cast<size_t>(cell)];
  if (state.batch == 0) {
    return;
  }
  state.cell.sums = sums;
  if (sums.trials >= state.batch) {
    Queue(cell);
  }
}

double TrialAllocator::WidestHalfWidth() const {
  double widest = 0;
  for (const State& state : cells_) {
    if (state.batch > 0) {
      widest = std::max(widest, rule_.HalfWidth(state.cell.sums));
    }
  }
  return widest;
}

double TrialAllocator::ForecastCost() const {
  double cost = 0;
  for (const State& state : cells_) {
    if (state.batch > 0) {
      const TrialSums& sums = state.cell.sums;
      const int64_t stop =
          sums.trials < 3
              ? state.batch
              : std::max(state.batch, rule_.ForecastTrials(sums.Variance(), sums.Skewness()));
      cost += static_cast<double>(stop - sums.trials) * state.cell.cost;
    }
  }
  return cost;
}

}  // namespace bitquake
