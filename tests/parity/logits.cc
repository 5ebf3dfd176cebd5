// What Bitquake's engine predicts, for logits_parity.py to compare.
//
//   parity_logits MODEL_FOLDER PIXELS LOGITS
//
// PIXELS holds images as the model's input takes them: 8-bit, planar, one after another. LOGITS
// becomes [images, classes] in fp32. Prints two lines: "parameters N", the words of all parameters,
// and "surface N", those of the default fault surface.
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/model/snapshot.h"
#include "worker/engine/torch_evaluator.h"

namespace bitquake {
namespace {

absl::StatusOr<FoldImages> SplitImages(absl::string_view bytes, const Preprocessing& p) {
  const size_t size = size_t(p.channels) * p.height * p.width;
  if (bytes.empty() || bytes.size() % size != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(bytes.size(), " bytes are not whole images of ", size));
  }
  FoldImages fold;
  for (size_t offset = 0; offset < bytes.size(); offset += size) {
    fold.pixels.push_back(reinterpret_cast<const uint8_t*>(bytes.data() + offset));
    fold.labels.push_back(0);
  }
  return fold;
}

int64_t Words(const Surface& surface) {
  int64_t words = 0;
  for (const SurfaceTensor& tensor : surface) {
    words += tensor.words();
  }
  return words;
}

absl::Status WriteLogits(const std::string& model, const std::string& pixels,
                         const std::string& logits_path) {
  ASSIGN_OR_RETURN(const ModelSnapshot snapshot, OpenSnapshot(model));
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(pixels));
  ASSIGN_OR_RETURN(const FoldImages fold,
                   SplitImages(file.bytes(), snapshot.architecture.preprocessing));
  EvaluatorOptions options;
  ASSIGN_OR_RETURN(options.format, NumberFormat::FromName("fp32"));
  options.chunk = static_cast<int>(fold.pixels.size());
  ASSIGN_OR_RETURN(const auto evaluator, TorchEvaluator::Create(snapshot, options));
  ASSIGN_OR_RETURN(const at::Tensor logits, evaluator->Logits(fold));
  const at::Tensor rows = logits.contiguous();
  RETURN_IF_ERROR(
      WriteFileAtomically(logits_path, {static_cast<const char*>(rows.const_data_ptr()),
                                        static_cast<size_t>(rows.numel()) * sizeof(float)}));

  ASSIGN_OR_RETURN(const Surface parameters,
                   MakeSurface(snapshot.architecture, snapshot.Tensors(), {/*include=*/{"."}}));
  std::cout << "parameters " << Words(parameters) << "\nsurface " << Words(snapshot.surface)
            << "\n";
  return absl::OkStatus();
}

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) {
  bitquake::PrepareProcess();
  if (argc != 4) {
    std::cerr << "usage: parity_logits MODEL_FOLDER PIXELS LOGITS\n";
    return 2;
  }
  const absl::Status status = bitquake::WriteLogits(argv[1], argv[2], argv[3]);
  if (!status.ok()) {
    std::cerr << "parity_logits: " << status.ToString() << "\n";
    return 1;
  }
  return 0;
}
