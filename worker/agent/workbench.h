// What a worker has at hand: models opened, data sets indexed and their pixels cached, evaluators
// with their weights resident. Kept over leases, so that a lease of the same model and format
// starts at once.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/campaign/campaign.h"
#include "common/model/snapshot.h"
#include "worker/agent/roots.h"
#include "worker/agent/worker_figures.h"
#include "worker/data/dataset.h"
#include "worker/data/pixel_cache.h"
#include "worker/engine/evaluator.h"

namespace bitquake {

using EvaluatorFactory = std::function<absl::StatusOr<std::unique_ptr<Evaluator>>(
    const ModelSnapshot&, const EvaluatorOptions&)>;

// As ChooseChunk.
using ChunkChooser =
    std::function<absl::StatusOr<int>(const ModelSnapshot&, const EvaluatorOptions&, int fold)>;

struct WorkbenchOptions {
  Roots models;
  Roots data;
  std::string cache_folder;
  std::string device = "cpu";  // "cpu", "cuda", "cuda:1"
  int threads = 1;
  bool allow_torchscript = false;  // models that come as code
  EvaluatorFactory create_evaluator;
  ChunkChooser choose_chunk;
};

struct OpenModel {
  ModelSnapshot snapshot;
  std::string digest;
  std::string stamp;  // of the files when they were read
};

// A data set as one campaign uses it: its first images perhaps, split into folds, as one model sees
// them.
struct OpenImages {
  std::string digest;  // of the whole data set
  std::vector<int> labels;
  std::vector<std::vector<int64_t>> folds;  // image numbers
  std::shared_ptr<PixelCache> pixels;

  // Errors: DataLoss if a pixel checksum fails.
  absl::StatusOr<FoldImages> Fold(int fold) const;
};

// Files that change between leases are opened anew; FailedPrecondition if they change while they
// are read. Thread-compatible.
class Workbench {
 public:
  explicit Workbench(WorkbenchOptions options);

  absl::StatusOr<std::shared_ptr<const OpenModel>> Model(const std::string& name);
  absl::StatusOr<std::shared_ptr<const OpenImages>> Images(const Campaign& campaign,
                                                           const Preprocessing& preprocessing,
                                                           const std::function<bool()>& cancelled);
  // The evaluator stays valid until another is asked for. Golden outcomes are cached in it by fold
  // number, so it belongs to one campaign.
  absl::StatusOr<Evaluator*> EvaluatorFor(const std::string& campaign_id, const OpenModel& model,
                                          const EvaluatorOptions& options);
  int threads() const { return options_.threads; }
  // With the device, the threads and what else is this worker's.
  EvaluatorOptions OnDevice(EvaluatorOptions options) const;
  // The chunk size for a campaign whose largest fold has so many images.
  absl::StatusOr<int> Chunk(const OpenModel& model, int fold);
  // After a failed proof: whatever is resident may be wrong.
  void DropEvaluators() { evaluators_.clear(); }

  // Thread-safe.
  WorkerFigures& figures() { return figures_; }

 private:
  struct OpenDataset {
    Dataset dataset;
    std::string digest;
    std::string stamp;                                          // of the files when they were read
    std::map<std::string, std::shared_ptr<PixelCache>> pixels;  // by preprocessing
  };
  struct Resident {
    std::string key;
    std::unique_ptr<Evaluator> evaluator;
  };

  absl::StatusOr<OpenDataset*> DatasetFor(const std::string& name);

  const WorkbenchOptions options_;
  std::map<std::string, std::shared_ptr<const OpenModel>> models_;
  std::map<std::string, OpenDataset> datasets_;
  std::map<std::string, std::shared_ptr<const OpenImages>> images_;
  std::list<Resident> evaluators_;  // used last first
  WorkerFigures figures_;
};

}  // namespace bitquake
