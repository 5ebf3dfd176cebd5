// A copy of a model's stored words on a device, and the values that the network reads in their
// place. A trial gathers the touched words, XORs and scatters them, writes the touched values, and
// undoes both afterwards. On a CUDA device all of this is queued on the current stream, and nothing
// waits for the host. (Inside worker/engine only: this header shows torch.)
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "common/fault/fault_list.h"
#include "worker/engine/stored_words.h"

namespace bitquake {

// Thread-compatible, but Stage, which is thread-safe.
class WordMemory {
 public:
  // `golden` must outlive this object. Values are of `type`, rounded to it; of the tensors marked
  // in `as_integers` they are the integers that the words stand for (exact in `type`), and the
  // network applies the scale after its product.
  WordMemory(const StoredWords* golden, at::Device device, at::ScalarType type,
             std::vector<bool> as_integers);

  // Of one tensor of the surface, in its shape: shares its storage with this object.
  at::Tensor values(int tensor) const;

  // The flips of a trial, uploaded.
  struct Staged {
    at::Tensor places;  // into all words, one tensor after the other
    at::Tensor masks;
    at::Tensor faulty_values;
  };
  // `flips` has passed StoredWords::Check.
  Staged Stage(const FaultList& flips) const;
  // Also counts the words whose bits did not change as they should; Prove asks for them.
  void Patch(const Staged& staged);
  // Writes golden's words and values back, whatever is there.
  void Undo(const Staged& staged);

  // That every patch since the last call flipped what it should, and that all words and values are
  // golden's now, bit for bit. Waits for the device. Errors: DataLoss.
  absl::Status Prove();

 private:
  const StoredWords* golden_;
  const at::Device device_;
  const at::ScalarType type_;
  const std::vector<bool> as_integers_;
  std::vector<int64_t> first_;  // of each tensor's words in the tensors below
  at::Tensor words_;            // of all tensors, padded in between
  at::Tensor values_;           // likewise
  at::Tensor golden_words_;     // as loaded
  at::Tensor golden_values_;
  at::Tensor misses_;
};

}  // namespace bitquake
