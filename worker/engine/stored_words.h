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
#include "common/fault/golden_words.h"
#include "common/fault/number_format.h"
#include "common/model/surface.h"

namespace bitquake {

// Thread-compatible; as GoldenWords, thread-safe after the last Add.
class StoredWords : public GoldenWords {
 public:
  explicit StoredWords(NumberFormat format, const Quantization& quantization = {})
      : format_(format), quantization_(quantization) {}

  // Quantises `weights` as the next tensor of the surface and returns its values, [shape], which
  // share their storage with this object. Errors: as Quantize, the tensor named.
  absl::StatusOr<at::Tensor> Add(const SurfaceTensor& tensor, absl::Span<const float> weights);

  // Errors: InvalidArgument, the tensor named, if a list's tensors or words are out of range or
  // order, a mask is empty or wider than a word, or a value has bits outside of its mask (or any,
  // in a list of flips).
  absl::Status Check(const FaultList& faults) const;

  // What `faults`, sets that have passed Check, change in golden's words, as flips: only bits that
  // have the other value; words and tensors without any are left out.
  FaultList FlipsOf(const FaultList& sets) const;

  // XORs the words and writes their values, then counts the bits that really differ from golden's.
  // Returns these flips by bit position, as many as a word has. Errors: DataLoss, the tensor named,
  // if they are not the ones wanted. `flips` has passed Check and has the effect kFlip; either way
  // the patch stands until Undo of the same list.
  absl::StatusOr<std::vector<int64_t>> Patch(const FaultList& flips);
  void Undo(const FaultList& flips);

  uint32_t Word(int tensor, int64_t index) const override;
  float Scale(int tensor, int64_t index) const override {
    return tensors_[tensor].scales.Of(index);
  }
  ValueRange Range(int tensor) const override { return tensors_[tensor].range; }

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
    Scales scales;
    at::Tensor values;
    std::variant<Words<uint8_t>, Words<uint16_t>, Words<uint32_t>> words;  // the smallest that fits
    int64_t count = 0;
    ValueRange range;
  };

  void Xor(const FaultList& flips);

  NumberFormat format_;
  Quantization quantization_;
  std::vector<Tensor> tensors_;
};

}  // namespace bitquake
