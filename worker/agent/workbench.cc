#include "worker/agent/workbench.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/campaign/folds.h"

namespace bitquake {
namespace {

constexpr size_t kResidentEvaluators = 4;
constexpr size_t kKeptImageSets = 16;

std::string KeyOf(const Preprocessing& p) {
  return absl::StrJoin({absl::StrCat(p.channels), absl::StrCat(p.height), absl::StrCat(p.width),
                        absl::StrCat(p.crop_pct), p.crop_mode, p.interpolation},
                       " ");
}

absl::Status CheckUnchanged(const std::string& folder, const absl::StatusOr<std::string>& now,
                            const std::string& before) {
  RETURN_IF_ERROR(now.status());
  return *now == before ? absl::OkStatus()
                        : absl::FailedPreconditionError(absl::StrCat(
                              folder, " changed while it was read; leave it alone and try again"));
}

}  // namespace

absl::StatusOr<FoldImages> OpenImages::Fold(int fold) const {
  if (fold < 0 || fold >= static_cast<int>(folds.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("fold ", fold, " of a data set with ", folds.size()));
  }
  FoldImages images;
  images.fold = fold;
  for (const int64_t image : folds[fold]) {
    ASSIGN_OR_RETURN(const absl::Span<const uint8_t> bytes, pixels->Pixels(image));
    images.pixels.push_back(bytes.data());
    images.labels.push_back(labels[image]);
  }
  return images;
}

Workbench::Workbench(WorkbenchOptions options) : options_(std::move(options)) {}

absl::StatusOr<std::shared_ptr<const OpenModel>> Workbench::Model(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string folder,
                   Resolve(options_.models, name, "model", "--model-root"));
  ASSIGN_OR_RETURN(std::string stamp, SnapshotStamp(folder));
  std::shared_ptr<const OpenModel>& model = models_[name];
  if (model == nullptr || model->stamp != stamp) {
    ASSIGN_OR_RETURN(ModelSnapshot snapshot, OpenSnapshot(folder));
    RETURN_IF_ERROR(CheckCodeAllowed(snapshot, options_.allow_torchscript));
    ASSIGN_OR_RETURN(std::string digest, SnapshotDigest(folder));
    RETURN_IF_ERROR(CheckUnchanged(folder, SnapshotStamp(folder), stamp));
    model = std::make_shared<OpenModel>(
        OpenModel{std::move(snapshot), std::move(digest), std::move(stamp)});
  }
  return model;
}

absl::StatusOr<Workbench::OpenDataset*> Workbench::DatasetFor(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string folder,
                   Resolve(options_.data, name, "data set", "--data-root"));
  const auto found = datasets_.find(name);
  if (found != datasets_.end()) {
    const absl::StatusOr<std::string> now = found->second.dataset.Stamp();
    if (now.ok() && *now == found->second.stamp) {
      return &found->second;
    }
    datasets_.erase(found);
  }
  ASSIGN_OR_RETURN(Dataset dataset, Dataset::Open(folder));
  ASSIGN_OR_RETURN(std::string stamp, dataset.Stamp());
  ASSIGN_OR_RETURN(std::string digest, dataset.Digest(options_.threads));
  RETURN_IF_ERROR(CheckUnchanged(folder, dataset.Stamp(), stamp));
  return &datasets_
              .emplace(name,
                       OpenDataset{std::move(dataset), std::move(digest), std::move(stamp), {}})
              .first->second;
}

absl::StatusOr<std::shared_ptr<const OpenImages>> Workbench::Images(
    const Campaign& campaign, const Preprocessing& preprocessing,
    const std::function<bool()>& cancelled) {
  const int64_t first =
      campaign.images.kind == ImageSelection::Kind::kFirst ? campaign.images.count : 0;
  ASSIGN_OR_RETURN(OpenDataset * data, DatasetFor(campaign.dataset));
  const std::string key = absl::StrCat(data->digest, "\n", first, " ", campaign.folds, " ",
                                       campaign.seed, " ", KeyOf(preprocessing));
  const auto found = images_.find(key);
  if (found != images_.end()) {
    return found->second;
  }
  const auto total = static_cast<int64_t>(data->dataset.samples().size());
  if (first > total) {
    return absl::InvalidArgumentError(absl::StrCat("images: first ", first, ": data set '",
                                                   campaign.dataset, "' has only ", total));
  }
  std::shared_ptr<PixelCache>& pixels = data->pixels[KeyOf(preprocessing)];
  if (pixels == nullptr) {
    ASSIGN_OR_RETURN(pixels,
                     PixelCache::OpenOrBuild(data->dataset, data->digest, preprocessing,
                                             {options_.cache_folder, options_.threads, cancelled}));
  }
  auto images = std::make_shared<OpenImages>();
  images->digest = data->digest;
  images->pixels = pixels;
  const int64_t count = first > 0 ? first : total;
  for (int64_t i = 0; i < count; ++i) {
    images->labels.push_back(data->dataset.samples()[i].label);
  }
  images->folds = MakeFolds(images->labels, FoldCount(campaign.folds, count), campaign.seed);
  if (images_.size() >= kKeptImageSets) {
    images_.clear();
  }
  images_[key] = images;
  return std::shared_ptr<const OpenImages>(std::move(images));
}

EvaluatorOptions Workbench::OnDevice(EvaluatorOptions options) const {
  options.device = options_.device;
  options.threads = options_.threads;
  options.allow_torchscript = options_.allow_torchscript;
  return options;
}

absl::StatusOr<int> Workbench::Chunk(const OpenModel& model, int fold) {
  evaluators_.clear();  // on a device the choice is by its free memory
  return options_.choose_chunk(model.snapshot, OnDevice({}), fold);
}

absl::StatusOr<Evaluator*> Workbench::EvaluatorFor(const std::string& campaign_id,
                                                   const OpenModel& model,
                                                   const EvaluatorOptions& options) {
  const std::string key = absl::StrCat(campaign_id, "\n", model.digest, "\n", options.format.Name(),
                                       " ", options.compute, " ", options.chunk);
  const auto found = std::find_if(evaluators_.begin(), evaluators_.end(),
                                  [&](const Resident& resident) { return resident.key == key; });
  if (found != evaluators_.end()) {
    evaluators_.splice(evaluators_.begin(), evaluators_, found);
    return evaluators_.front().evaluator.get();
  }
  if (evaluators_.size() >= kResidentEvaluators) {
    evaluators_.pop_back();
  }
  absl::StatusOr<std::unique_ptr<Evaluator>> evaluator =
      options_.create_evaluator(model.snapshot, OnDevice(options));
  if (absl::IsResourceExhausted(evaluator.status()) && !evaluators_.empty()) {
    evaluators_.clear();  // they hold the memory
    evaluator = options_.create_evaluator(model.snapshot, OnDevice(options));
  }
  RETURN_IF_ERROR(evaluator.status());
  // The weights were read only now.
  RETURN_IF_ERROR(
      CheckUnchanged(model.snapshot.path, SnapshotStamp(model.snapshot.path), model.stamp));
  evaluators_.push_front({key, *std::move(evaluator)});
  return evaluators_.front().evaluator.get();
}

}  // namespace bitquake
