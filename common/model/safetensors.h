// A safetensors file: a JSON header, then the tensors' bytes. Parsed as hostile input: sizes,
// offsets, overlaps and shapes are checked before anything is read. (Format:
// github.com/huggingface/safetensors.)
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/file.h"

namespace bitquake {

enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };

// Bytes of one element.
int SizeOf(DType dtype);
// As in the file: "F32", "BF16", ...
absl::string_view Name(DType dtype);

struct StoredTensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;  // row-major; empty for a scalar
  absl::string_view bytes;     // little-endian elements, points into the file's map

  int64_t elements() const;
};

// Thread-safe once opened.
class SafetensorsFile {
 public:
  // Errors: InvalidArgument naming `path` and what is wrong (truncated, header too large,
  // overlapping or out-of-range offsets, size that does not fit shape and dtype, duplicate names).
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);

  // In the order of their offsets.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* Find(absl::string_view name) const;  // null if absent

 private:
  MappedFile file_;
  std::vector<StoredTensor> tensors_;
};

// The parser alone, for tests and fuzzing: `bytes` is the whole file.
absl::StatusOr<std::vector<StoredTensor>> ParseSafetensors(absl::string_view bytes);

// Elements as fp32 (exact for F16, BF16 and F32). Errors: InvalidArgument for other dtypes.
absl::StatusOr<std::vector<float>> ToFloat(const StoredTensor& tensor);

}  // namespace bitquake
