// The evaluator: what a model in a number format predicts, without and with faults in its stored
// words. This header is the seam: plain values on both sides, torch behind it.
//
// Determinism: every forward has `chunk` images (a fold's end is padded) and on the CPU runs on one
// thread; threads take different chunks. So on one kind of device an outcome is a function of the
// model, the images, the fold, the chunk size, the compute mode and the faults: not of threads, of
// the other trials of a call, or of prefix reuse.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/bitmap.h"
#include "common/fault/fault_list.h"
#include "common/fault/golden_words.h"
#include "common/fault/number_format.h"
#include "common/model/attention_distance.h"
#include "common/model/snapshot.h"

namespace bitquake {

// The images of one fold, in order. The pointers stay valid during the call.
struct FoldImages {
  int fold = 0;                        // its number: golden outcomes are cached by it
  std::vector<const uint8_t*> pixels;  // planar, channels x height x width of the model's input
  std::vector<int> labels;
};

// What a model predicts for the images of a fold without faults.
struct GoldenOutcome {
  std::vector<int> predictions;  // arg max of the logits, the lowest class of equals
  int64_t top1 = 0;              // correct
  int64_t top5 = 0;
  std::string digest;            // XXH3 over the logits, in fp32, of all images
  AttentionDistances attention;  // with EvaluatorOptions::golden_attention
};

struct TrialRequest {
  int64_t id = 0;  // the caller's; comes back in the outcome
  const FaultList* faults = nullptr;
};

// One trial on one fold. Counts are of images.
struct TrialOutcome {
  int64_t id = 0;
  int64_t images = 0;
  int64_t top1 = 0;
  int64_t top5 = 0;
  int64_t golden_top1 = 0;
  int64_t golden_top5 = 0;
  int64_t sdc = 0;             // finite logits, prediction differs from golden's
  int64_t right_to_wrong = 0;  // DUE included
  int64_t wrong_to_right = 0;
  int64_t due = 0;           // some logit NaN or infinite; counted as wrong
  int64_t flips_wanted = 0;  // bits of golden's words that the fault list changes
  int64_t flips = 0;         // realised: bits that differ from golden's words after the patch
  std::vector<int64_t> flips_per_bit;  // realised, by position in the word, 0 = least significant
  int64_t inferences = 0;              // images that were really run (0 when nothing was flipped)
  std::string digest;  // XXH3 over the predictions (-1 for DUE) and top-5 hits of all images
  double seconds = 0;
  // With EvaluatorOptions::keep_images, a bit for each image of the fold, in its order:
  Bitmap correct;
  Bitmap same;                   // as golden: finite logits and the same prediction
  AttentionDistances attention;  // with EvaluatorOptions::trial_attention
};

// Host time spent in the parts of an evaluator's calls. Where a device computes while the host goes
// on, it shows where the host waits.
struct EvaluatorTimes {
  absl::Duration golden;  // passes without faults: golden outcomes, what trials resume from, canary
  absl::Duration inject;  // words patched
  absl::Duration infer;
  absl::Duration undo;
};

// Thread-compatible: one call at a time.
class Evaluator {
 public:
  virtual ~Evaluator() = default;

  // Golden outcome of a fold, computed at most once for each fold number.
  virtual absl::StatusOr<GoldenOutcome> Golden(const FoldImages& fold) = 0;

  // Runs `trials` on `fold`: for each, patches the words, runs the images, undoes the patch.
  // Afterwards proves that all words equal golden's and that a few images' logits equal golden's
  // bit for bit (the canary), and only then returns the outcomes, in the order of `trials`.
  // `cancelled` is asked between chunks. Errors: DataLoss if a proof fails (flips differ from the
  // wanted, words or canary from golden's): use it no more; Aborted: the device failed; Cancelled.
  virtual absl::StatusOr<std::vector<TrialOutcome>> Run(const FoldImages& fold,
                                                        absl::Span<const TrialRequest> trials,
                                                        const std::function<bool()>& cancelled) = 0;

  // Of all calls so far.
  virtual EvaluatorTimes times() const = 0;

  // The bits of golden's words that a fault list really changes, as a list that inverts them.
  // Errors: InvalidArgument for a list that does not fit the surface.
  virtual absl::StatusOr<FaultList> RealFlips(const FaultList& faults) const = 0;

  // The words that faults are drawn over where a protection scheme must know them. They never
  // change, so other threads may read them at any time; valid as long as the evaluator.
  virtual const GoldenWords& golden_words() const = 0;
};

struct EvaluatorOptions {
  NumberFormat format;
  Quantization quantization;
  Surface surface;             // fault lists number its tensors; empty: the model's default surface
  std::string device = "cpu";  // "cpu", "cuda", "cuda:1"
  std::string compute = "fp32";    // "fp32", "tf32" (not on the CPU), "bf16", "fp16"
  int chunk = 0;                   // images a forward; positive
  int threads = 1;                 // chunks at a time, on the CPU
  bool allow_torchscript = false;  // run networks that come as code (model.ts)
  bool keep_images = false;        // outcomes say which images were right
  // Attention distances, summed over the fold's images, in golden outcomes and in those of trials
  // (which takes golden's).
  bool golden_attention = false;
  bool trial_attention = false;
};

// `snapshot` is only used during the call. Errors: InvalidArgument (weights that do not fit the
// architecture or the format, attention distances of a network that has none), Unimplemented (a
// compute mode that the device or TorchScript lacks), FailedPrecondition (TorchScript that is not
// allowed, a device that is not there), ResourceExhausted (memory).
absl::StatusOr<std::unique_ptr<Evaluator>> CreateEvaluator(const ModelSnapshot& snapshot,
                                                           const EvaluatorOptions& options);

// The chunk size that suits a model and folds of up to `fold` images on a device. On the CPU a pure
// function of the architecture; on a CUDA device it is tried in fp32, and halved until it fits its
// memory. Errors: as CreateEvaluator.
absl::StatusOr<int> ChooseChunk(const ModelSnapshot& snapshot, const EvaluatorOptions& options,
                                int fold);

// What results may depend on besides the campaign: "cpu Intel AVX512, torch 2.11.0", "cuda NVIDIA
// H100 80GB HBM3, driver 13.0, torch 2.11.0". Errors: as CreateEvaluator for the device.
absl::StatusOr<std::string> DeviceKind(const std::string& device);

// Of a CUDA device; nothing for the CPU.
struct DeviceMemory {
  int64_t used = 0;   // bytes, by all processes
  int64_t total = 0;  // bytes
};
std::optional<DeviceMemory> MemoryOf(const std::string& device);

// Sets what makes torch reproducible (MKL_CBWR). Call first thing in main, before any other thread.
void PrepareProcess();

}  // namespace bitquake
