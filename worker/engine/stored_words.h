// The words of a model's fault surface in a number format, and the fp32 values that the network
// reads in their place. A trial patches the touched words and values and undoes both: no copies of
// the model, no requantising.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "common/fault/fault_list.h"
#include "common/fault/number_format.h"
#include "common/model/surface.h"

namespace bitquake {

// Thread-compatible.
class StoredWords {
 public:
  explicit StoredWords(NumberFormat format, const Quantization& quantization = {})
      : format_(format), quantization_(quantization) {}

  // Quantises `weights` as the next tensor of the surface and returns its values, [shape], which
  // share their storage with this object. Errors: as Quantize, the tensor named.
  absl::StatusOr<at::Tensor> Add(const SurfaceTensor& tensor, absl::Span<const float> weights);

  // Errors: InvalidArgument, the tensor named, if a list's tensors or words are out of range or
  // order, or a mask is empty or wider than a word.
  absl::Status Check(const FaultList& faults) const;

  // XORs the words and writes their values, then counts the bits that really differ from golden's.
  // Returns the flips. Errors: DataLoss, the tensor named, if they are not the ones wanted.
  // `faults` has passed Check; either way the patch stands until Undo of the same list.
  absl::StatusOr<int64_t> Patch(const FaultList& faults);
  void Undo(const FaultList& faults);

  // The bits of golden's words that `faults` changes, as a list that inverts them. `faults` has
  // passed Check.
  FaultList RealFlips(const FaultList& faults) const;

  // XXH3 over all words and all values.
  std::string Digest() const;

 private:
  template <typename Word>
  struct Words {
    std::vector<Word> now;
    std::vector<Word> golden;
  };
  struct Tensor {
    std::string name;
    float scale = 1;
    at::Tensor values;
    std::variant<Words<uint8_t>, Words<uint16_t>, Words<uint32_t>> words;  // the smallest that fits
    int64_t count = 0;
  };

  void Xor(const FaultList& faults);

  NumberFormat format_;
  Quantization quantization_;
  std::vector<Tensor> tensors_;
};

}  // namespace bitquake
