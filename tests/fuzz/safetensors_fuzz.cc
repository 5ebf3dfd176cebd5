// A model's weights: the header of a safetensors file, and the tensors that it names.
#include <set>

#include "absl/status/status.h"
#include "common/model/safetensors.h"
#include "tests/fuzz/must.h"

namespace bitquake {
namespace {

void MustFit(const StoredTensor& tensor) {
  int64_t elements = 1;
  for (const int64_t side : tensor.shape) {
    Must(side >= 0, "a side is no negative number");
    elements *= side;
  }
  Must(tensor.elements() == elements, "a tensor has as many elements as its shape");
  Must(static_cast<int64_t>(tensor.bytes.size()) == elements * SizeOf(tensor.dtype),
       "a tensor has as many bytes as its elements");
  const absl::StatusOr<std::vector<float>> values = ToFloat(tensor);
  Must(values.ok() ? static_cast<int64_t>(values->size()) == elements
                   : absl::IsInvalidArgument(values.status()),
       "a tensor has values, or a type that has none");
}

}  // namespace
}  // namespace bitquake

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  const absl::string_view file = Text(data, size);
  const absl::StatusOr<std::vector<StoredTensor>> tensors = ParseSafetensors(file);
  if (!tensors.ok()) {
    Must(absl::IsInvalidArgument(tensors.status()), "a refusal is the file's fault");
    return 0;
  }
  std::set<std::string> names;
  const char* end = file.data();  // of the tensor before
  for (const StoredTensor& tensor : *tensors) {
    Must(names.insert(tensor.name).second, "no two tensors have one name");
    Must(tensor.bytes.data() >= end &&
             tensor.bytes.data() + tensor.bytes.size() <= file.data() + file.size(),
         "tensors lie in the file, one after the other");
    end = tensor.bytes.data() + tensor.bytes.size();
    MustFit(tensor);
  }
  return 0;
}
