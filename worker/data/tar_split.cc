#include "worker/data/tar_split.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/json_nesting.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "worker/data/tar_index.h"

namespace bitquake {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kSplit[] = "validation";
constexpr size_t kMaxInfoBytes = size_t{16} << 20;

absl::Status Invalid(absl::string_view where, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", what));
}

// A file name from someone else's _info.json must not lead out of the data set's folder.
bool StaysInside(absl::string_view name) {
  for (absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return false;
    }
  }
  return std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < ' '; });
}

absl::StatusOr<int64_t> ParseCount(const json& value, absl::string_view what) {
  if (!value.is_number_unsigned() ||
      value.get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max())) {
    return absl::InvalidArgumentError(absl::StrCat(what, " is no count"));
  }
  return value.get<int64_t>();
}

absl::StatusOr<const json*> ChooseSplit(const json& info) {
  if (!info.is_object() || !info.contains("splits") || !info["splits"].is_object() ||
      info["splits"].empty()) {
    return absl::InvalidArgumentError("no object 'splits' with a split in it");
  }
  const json& splits = info["splits"];
  const auto split = splits.size() == 1 ? splits.begin() : splits.find(kSplit);
  if (split == splits.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", splits.size(), " splits, none of them '", kSplit, "'"));
  }
  return &*split;
}

absl::StatusOr<TarSplit> ParseSplit(absl::string_view text) {
  if (JsonNesting(text) > kMaxJsonNesting) {
    return absl::InvalidArgumentError("nested too deeply");
  }
  const json info = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (info.is_discarded()) {
    return absl::InvalidArgumentError("not JSON");
  }
  ASSIGN_OR_RETURN(const json* chosen, ChooseSplit(info));
  if (!chosen->is_object() || !chosen->contains("filenames") ||
      !(*chosen)["filenames"].is_array()) {
    return absl::InvalidArgumentError("the split has no list 'filenames'");
  }
  TarSplit split;
  absl::flat_hash_set<std::string> seen;
  for (const json& file : (*chosen)["filenames"]) {
    if (!file.is_string() || !StaysInside(file.get<std::string>())) {
      return absl::InvalidArgumentError(
          absl::StrCat("filenames: ", file.dump(-1, ' ', true, json::error_handler_t::replace),
                       " does not name a file inside the folder"));
    }
    if (!seen.insert(file.get<std::string>()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("filenames: '", file.get<std::string>(), "' is listed twice"));
    }
    split.files.push_back(file.get<std::string>());
  }
  if (chosen->contains("shard_lengths")) {
    const json& lengths = (*chosen)["shard_lengths"];
    if (!lengths.is_array() || lengths.size() != split.files.size()) {
      return absl::InvalidArgumentError("shard_lengths is not a list as long as filenames");
    }
    for (const json& length : lengths) {
      ASSIGN_OR_RETURN(const int64_t count, ParseCount(length, "an entry of shard_lengths"));
      split.shard_lengths.push_back(count);
    }
  }
  if (chosen->contains("num_samples")) {
    ASSIGN_OR_RETURN(split.num_samples, ParseCount((*chosen)["num_samples"], "num_samples"));
  }
  return split;
}

absl::StatusOr<std::vector<std::string>> ListTars(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".tar") {
      files.push_back(it->path().filename().string());
    }
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(), folder);
  }
  std::sort(files.begin(), files.end());
  return files;
}

// A class number as text: "17", with white space around it.
absl::StatusOr<int> ParseLabel(absl::string_view text) {
  int label = 0;
  if (text.size() > 32 || !absl::SimpleAtoi(text, &label) || label < 0) {
    return absl::InvalidArgumentError("the .cls member is no class number (0, 1, 2, ...)");
  }
  return label;
}

// The parts of one sample as found so far.
struct Parts {
  const TarMember* image = nullptr;
  const TarMember* label = nullptr;
};

absl::StatusOr<std::vector<Sample>> ReadShard(const std::string& path, int shard) {
  const absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  if (!file.ok()) {
    return absl::Status(
        file.status().code(),
        absl::StrCat(file.status().message(), "; fetch it again, or take it out of ", kInfoFile));
  }
  ASSIGN_OR_RETURN(const std::vector<TarMember> members, IndexTar(file->bytes(), path));
  std::vector<std::string> keys;  // by first appearance
  absl::flat_hash_map<std::string, Parts> parts;
  for (const TarMember& member : members) {
    const SamplePart part = SplitMemberName(member.name);
    if (!IsImageExtension(part.extension) && part.extension != "cls") {
      continue;
    }
    const auto [it, is_new] = parts.try_emplace(part.key);
    if (is_new) {
      keys.push_back(part.key);
    }
    const TarMember*& slot = IsImageExtension(part.extension) ? it->second.image : it->second.label;
    if (slot != nullptr) {
      return Invalid(absl::StrCat(path, ": ", part.key),
                     absl::StrCat("both '", slot->name, "' and '", member.name, "' belong to it"));
    }
    slot = &member;
  }
  std::vector<Sample> samples;
  samples.reserve(keys.size());
  for (std::string& key : keys) {
    const auto [image, label] = parts[key];
    const std::string where = absl::StrCat(path, ": ", key);
    if (label == nullptr) {
      return Invalid(where, "an image without a label (.cls)");
    }
    if (image == nullptr) {
      return Invalid(where, "a label without an image (.jpg, .jpeg, .png)");
    }
    const auto number = ParseLabel(file->bytes().substr(label->offset, label->size));
    if (!number.ok()) {
      return Annotate(number.status(), where);
    }
    samples.push_back({shard, std::move(key), image->offset, image->size, *number});
  }
  return samples;
}

}  // namespace

absl::StatusOr<std::optional<TarSplit>> FindTarSplit(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kInfoFile);
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxInfoBytes);
  TarSplit split;
  if (text.ok()) {
    absl::StatusOr<TarSplit> parsed = ParseSplit(*text);
    if (!parsed.ok()) {
      return Annotate(parsed.status(), path);
    }
    split = *std::move(parsed);
  } else if (absl::IsNotFound(text.status())) {
    ASSIGN_OR_RETURN(split.files, ListTars(folder));
    if (split.files.empty()) {
      return std::nullopt;
    }
  } else {
    return text.status();
  }
  split.folder = folder;
  return split;
}

absl::StatusOr<std::vector<Sample>> ReadTarSamples(const TarSplit& split) {
  std::vector<Sample> all;
  for (size_t i = 0; i < split.files.size(); ++i) {
    const std::string path = absl::StrCat(split.folder, "/", split.files[i]);
    ASSIGN_OR_RETURN(std::vector<Sample> samples, ReadShard(path, static_cast<int>(i)));
    const auto count = static_cast<int64_t>(samples.size());
    if (!split.shard_lengths.empty() && count != split.shard_lengths[i]) {
      return Invalid(path, absl::StrCat(count, " samples, but ", kInfoFile, " states ",
                                        split.shard_lengths[i], "; fetch the shard again"));
    }
    std::move(samples.begin(), samples.end(), std::back_inserter(all));
  }
  if (split.num_samples.has_value() && static_cast<int64_t>(all.size()) != *split.num_samples) {
    return Invalid(split.folder, absl::StrCat(all.size(), " samples, but ", kInfoFile,
                                              " states num_samples ", *split.num_samples));
  }
  return all;
}

}  // namespace bitquake
