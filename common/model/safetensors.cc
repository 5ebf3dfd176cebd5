#include "common/model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/shown.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as the reference implementation
constexpr int kMaxHeaderDepth = 3;                 // {tensor: {shape: [n]}}
constexpr size_t kLengthBytes = 8;

struct DTypeInfo {
  DType dtype;
  absl::string_view name;
  int size;
};

constexpr DTypeInfo kDTypes[] = {{DType::kF64, "F64", 8}, {DType::kF32, "F32", 4},
                                 {DType::kF16, "F16", 2}, {DType::kBF16, "BF16", 2},
                                 {DType::kI64, "I64", 8}, {DType::kI32, "I32", 4},
                                 {DType::kI16, "I16", 2}, {DType::kI8, "I8", 1},
                                 {DType::kU8, "U8", 1},   {DType::kBool, "BOOL", 1}};

const DTypeInfo& InfoOf(DType dtype) {
  return *std::find_if(std::begin(kDTypes), std::end(kDTypes),
                       [&](const DTypeInfo& info) { return info.dtype == dtype; });
}

// Names in errors come from the file.
std::string Quoted(const std::string& name) { return absl::StrCat("'", Shown(name), "'"); }

// JSON parsers keep the last of equal keys; here a key that stands twice is an error, as is nesting
// that no header has.
absl::StatusOr<Json> ParseHeader(absl::string_view text) {
  std::set<std::string> keys[kMaxHeaderDepth + 1];
  std::optional<std::string> repeated;
  bool too_deep = false;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxHeaderDepth) {
      too_deep = true;
      return false;
    }
    if (event == Json::parse_event_t::object_start && depth < kMaxHeaderDepth) {
      keys[depth + 1].clear();
    }
    if (event == Json::parse_event_t::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!keys[depth].insert(key).second && !repeated) {
        repeated = key;
      }
    }
    return true;
  };
  Json header = Json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  if (too_deep) {
    return absl::InvalidArgumentError("the header is nested too deeply");
  }
  if (repeated) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header holds ", Quoted(*repeated), " twice"));
  }
  if (!header.is_object()) {
    return absl::InvalidArgumentError("the header is not a JSON object; is the file damaged?");
  }
  return header;
}

absl::StatusOr<std::vector<int64_t>> Integers(const Json& entry, const char* field) {
  const auto found = entry.find(field);
  if (found == entry.end() || !found->is_array()) {
    return absl::InvalidArgumentError(absl::StrCat("'", field, "' is no list"));
  }
  std::vector<int64_t> integers;
  for (const Json& item : *found) {
    if (!item.is_number_unsigned() ||
        item.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", field, "' holds something else than sizes"));
    }
    integers.push_back(static_cast<int64_t>(item.get<uint64_t>()));
  }
  return integers;
}

absl::StatusOr<StoredTensor> ParseTensor(const std::string& name, const Json& entry,
                                         absl::string_view data) {
  if (!entry.is_object()) {
    return absl::InvalidArgumentError("its entry is not a JSON object");
  }
  StoredTensor tensor;
  tensor.name = name;

  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string()) {
    return absl::InvalidArgumentError("'dtype' is no text");
  }
  const auto info = std::find_if(
      std::begin(kDTypes), std::end(kDTypes),
      [&](const DTypeInfo& known) { return known.name == dtype->get_ref<const std::string&>(); });
  if (info == std::end(kDTypes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("dtype ", Quoted(dtype->get<std::string>()), " is not supported"));
  }
  tensor.dtype = info->dtype;

  ASSIGN_OR_RETURN(tensor.shape, Integers(entry, "shape"));
  int64_t bytes = info->size;
  for (const int64_t side : tensor.shape) {
    if (__builtin_mul_overflow(bytes, side, &bytes)) {
      return absl::InvalidArgumentError("its shape overflows");
    }
  }

  ASSIGN_OR_RETURN(const std::vector<int64_t> offsets, Integers(entry, "data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1] ||
      offsets[1] > static_cast<int64_t>(data.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("its offsets [", absl::StrJoin(offsets, ", "), "] lie outside of the ",
                     data.size(), " bytes of data; is the file truncated? fetch it again"));
  }
  if (offsets[1] - offsets[0] != bytes) {
    return absl::InvalidArgumentError(absl::StrCat("it has ", offsets[1] - offsets[0],
                                                   " bytes, but its shape and dtype need ", bytes));
  }
  tensor.bytes = data.substr(offsets[0], bytes);
  return tensor;
}

float HalfToFloat(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t exponent = (half >> 10) & 0x1f;
  const uint32_t mantissa = half & 0x3ff;
  if (exponent == 0) {  // zero and subnormals: an integer times 2^-24, exact
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 0x1f ? 0xff : exponent + (127 - 15);
  const uint32_t bits = sign | wide << 23 | mantissa << 13;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float BrainToFloat(uint16_t brain) {
  const uint32_t bits = uint32_t{brain} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

template <typename Convert>
void ConvertHalves(absl::string_view bytes, std::vector<float>& values, Convert convert) {
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t half;  // the data may lie at any address
    std::memcpy(&half, bytes.data() + i * sizeof(half), sizeof(half));
    values[i] = convert(half);
  }
}

}  // namespace

int SizeOf(DType dtype) { return InfoOf(dtype).size; }

absl::string_view Name(DType dtype) { return InfoOf(dtype).name; }

int64_t StoredTensor::elements() const {
  return static_cast<int64_t>(bytes.size()) / SizeOf(dtype);
}

absl::StatusOr<std::vector<StoredTensor>> ParseSafetensors(absl::string_view bytes) {
  if (bytes.size() < kLengthBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a safetensors file: only ", bytes.size(), " bytes long"));
  }
  uint64_t header_bytes;
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  bytes.remove_prefix(kLengthBytes);
  if (header_bytes > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat("not a safetensors file: it states a header of ",
                                                   header_bytes, " bytes; the limit is ",
                                                   kMaxHeaderBytes));
  }
  if (header_bytes > bytes.size()) {
    return absl::InvalidArgumentError(absl::StrCat("truncated: the header has ", header_bytes,
                                                   " bytes, the file ", bytes.size(),
                                                   " after its length"));
  }
  ASSIGN_OR_RETURN(const Json header, ParseHeader(bytes.substr(0, header_bytes)));
  bytes.remove_prefix(header_bytes);

  std::vector<StoredTensor> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      continue;
    }
    absl::StatusOr<StoredTensor> tensor = ParseTensor(name, entry, bytes);
    if (!tensor.ok()) {
      return Annotate(tensor.status(), absl::StrCat("tensor ", Quoted(name)));
    }
    tensors.push_back(*std::move(tensor));
  }
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::make_pair(a.bytes.data(), a.bytes.size()) <
           std::make_pair(b.bytes.data(), b.bytes.size());
  });
  for (size_t i = 1; i < tensors.size(); ++i) {
    const absl::string_view before = tensors[i - 1].bytes;
    if (before.data() + before.size() > tensors[i].bytes.data()) {
      return absl::InvalidArgumentError(absl::StrCat("tensors ", Quoted(tensors[i - 1].name),
                                                     " and ", Quoted(tensors[i].name), " overlap"));
    }
  }
  return tensors;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  SafetensorsFile file;
  ASSIGN_OR_RETURN(file.file_, MappedFile::Open(path));
  absl::StatusOr<std::vector<StoredTensor>> tensors = ParseSafetensors(file.file_.bytes());
  if (!tensors.ok()) {
    return Annotate(tensors.status(), path);
  }
  file.tensors_ = *std::move(tensors);
  return file;
}

const StoredTensor* SafetensorsFile::Find(absl::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const StoredTensor& t) { return t.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

absl::StatusOr<std::vector<float>> ToFloat(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  switch (tensor.dtype) {
    case DType::kF32:
      if (!values.empty()) {
        std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
      }
      return values;
    case DType::kF16:
      ConvertHalves(tensor.bytes, values, HalfToFloat);
      return values;
    case DType::kBF16:
      ConvertHalves(tensor.bytes, values, BrainToFloat);
      return values;
    default:
      return absl::InvalidArgumentError(absl::StrCat("tensor ", Quoted(tensor.name), " has dtype ",
                                                     Name(tensor.dtype),
                                                     "; weights must be F32, F16 or BF16"));
  }
}

}  // namespace bitquake
