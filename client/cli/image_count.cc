#include "client/cli/image_count.h"

#include <filesystem>

#include "absl/strings/ascii.h"
#include "common/base/file.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::optional<int64_t> StatedCount(const std::string& text) {
  const Json info = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!info.is_object() || !info.contains("splits") || !info["splits"].is_object()) {
    return std::nullopt;
  }
  const Json& splits = info["splits"];
  const auto split = splits.size() == 1 ? splits.begin() : splits.find("validation");
  if (split == splits.end() || !split->is_object()) {
    return std::nullopt;
  }
  if (const auto stated = split->find("num_samples");
      stated != split->end() && stated->is_number_integer()) {
    return stated->get<int64_t>();
  }
  int64_t sum = 0;
  for (const Json& length : split->value("shard_lengths", Json::array())) {
    sum += length.is_number_integer() ? length.get<int64_t>() : 0;
  }
  return sum > 0 ? std::optional<int64_t>(sum) : std::nullopt;
}

bool IsImage(const fs::path& path) {
  const std::string extension = absl::AsciiStrToLower(path.extension().string());
  return path.filename().string()[0] != '.' &&
         (extension == ".jpg" || extension == ".jpeg" || extension == ".png");
}

}  // namespace

std::optional<int64_t> CountImages(const std::string& folder) {
  if (const auto info = ReadFile(folder + "/_info.json", 1 << 24); info.ok()) {
    return StatedCount(*info);
  }
  std::error_code error;
  fs::path root = folder;
  for (const char* split : {"validation", "val"}) {
    if (fs::is_directory(fs::path(folder) / split, error)) {
      root = fs::path(folder) / split;
      break;
    }
  }
  int64_t images = 0;
  for (const auto& label : fs::directory_iterator(root, error)) {
    if (label.is_directory(error)) {
      for (const auto& image : fs::directory_iterator(label.path(), error)) {
        images += IsImage(image.path());
      }
    }
  }
  return images > 0 ? std::optional<int64_t>(images) : std::nullopt;
}

}  // namespace bitquake
