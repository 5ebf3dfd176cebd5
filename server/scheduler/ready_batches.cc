#include "server/scheduler/ready_batches.h"

namespace bitquake {

void ReadyBatches::Add(ReadyBatch batch) {
  if (batch.comparable) {
    oldest_.emplace(batch.kind, batch.id);
    of_variant_.emplace(batch.kind, batch.variant, batch.id);
    of_fold_.emplace(batch.kind, batch.variant, batch.fold, batch.id);
  }
  jobs_ += batch.ready;
  by_id_.emplace(batch.id, std::move(batch));
}

const ReadyBatch* ReadyBatches::First(int64_t variant) const {
  if (oldest_.empty()) {
    return nullptr;
  }
  const auto [kind, oldest] = *oldest_.begin();
  const auto own = of_variant_.lower_bound({kind, variant, 0});
  const bool has_own =
      own != of_variant_.end() && std::get<0>(*own) == kind && std::get<1>(*own) == variant;
  return &by_id_.at(has_own ? std::get<2>(*own) : oldest);
}

std::vector<ReadyBatch*> ReadyBatches::Alike(int64_t id, size_t most) {
  ReadyBatch& first = by_id_.at(id);
  std::vector<ReadyBatch*> alike = {&first};
  // Those of one fold, or of all but it.
  auto add = [&](int fold, bool other_folds) {
    auto at = of_fold_.lower_bound({first.kind, first.variant, other_folds ? 0 : fold, 0});
    for (; at != of_fold_.end() && alike.size() < most; ++at) {
      const auto& [kind, variant, its_fold, its_id] = *at;
      if (kind != first.kind || variant != first.variant || (!other_folds && its_fold != fold)) {
        break;
      }
      if (its_id != id && (its_fold == fold) != other_folds) {
        alike.push_back(&by_id_.at(its_id));
      }
    }
  };
  add(first.fold, /*other_folds=*/false);
  add(first.fold, /*other_folds=*/true);
  return alike;
}

void ReadyBatches::Leased(int64_t id, int64_t jobs) {
  const auto found = by_id_.find(id);
  ReadyBatch& batch = found->second;
  batch.ready -= jobs;
  jobs_ -= jobs;
  if (batch.ready > 0) {
    return;
  }
  oldest_.erase({batch.kind, id});
  of_variant_.erase({batch.kind, batch.variant, id});
  of_fold_.erase({batch.kind, batch.variant, batch.fold, id});
  by_id_.erase(found);
}

}  // namespace bitquake
