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

  // Golden's words, for copies of them elsewhere. Tensors count in the order of Add.
  int tensor_count() const { return static_cast<int>(tensors_.size()); }
  int64_t count(int tensor) const { return tensors_[tensor].count; }  // of words
  at::IntArrayRef shape(int tensor) const { return tensors_[tensor].values.sizes(); }
  const Scales& scales(int tensor) const { return tensors_[tensor].scales; }
  int word_bytes() const { return format_.bits <= 8 ? 1 : format_.bits <= 16 ? 2 : 4; }
  const void* data(int tensor) const;  // count(tensor) words of word_bytes() each
  uint32_t word(int tensor, int64_t index) const;
  // Of a word at that place, if it held `word`: its value, or before it is scaled.
  float ValueOf(int tensor, int64_t index, uint32_t word, bool unscaled) const {
    return Dequantize(word, unscaled ? 1 : tensors_[tensor].scales.Of(index), format_);
  }

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
