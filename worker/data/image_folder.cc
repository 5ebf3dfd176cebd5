#include "worker/data/image_folder.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/natural_order.h"

namespace bitquake {
namespace {

namespace fs = std::filesystem;

absl::Status Invalid(const fs::path& where, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(where.string(), ": ", what));
}

bool IsImage(const fs::path& path) {
  const std::string extension = path.extension().string();
  return !extension.empty() && IsImageExtension(absl::AsciiStrToLower(extension.substr(1)));
}

// The class numbers must be timm's, and timm orders other letters by tables of Unicode.
bool IsAscii(absl::string_view name) {
  return std::all_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x80; });
}

// A name must not look like two lines of the digest, or of an error.
bool HasControlCharacter(absl::string_view name) {
  return std::any_of(name.begin(), name.end(),
                     [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

// Lists folders below `root`, and sees to it that no link leads out of it.
class Tree {
 public:
  static absl::StatusOr<Tree> Open(const std::string& root) {
    std::error_code error;
    const fs::path canonical = fs::canonical(root, error);
    if (error) {
      return absl::ErrnoToStatus(error.value(), root);
    }
    return Tree(canonical);
  }

  // What is not hidden in a folder, in no order.
  absl::StatusOr<std::vector<fs::directory_entry>> List(const std::string& folder) const {
    std::vector<fs::directory_entry> entries;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      if (absl::StartsWith(name, ".")) {
        continue;
      }
      if (HasControlCharacter(name)) {
        return Invalid(folder, absl::StrCat("'", absl::CEscape(name),
                                            "' has a control character in its name; rename it"));
      }
      entries.push_back(*it);
    }
    if (error) {
      return absl::ErrnoToStatus(error.value(), folder);
    }
    return entries;
  }

  absl::Status StaysInside(const fs::directory_entry& entry) const {
    std::error_code error;
    if (!entry.is_symlink(error)) {
      return absl::OkStatus();
    }
    const fs::path target = fs::canonical(entry.path(), error);
    if (error) {
      return absl::ErrnoToStatus(error.value(), entry.path().string());
    }
    if (!absl::StartsWith(target.string(), absl::StrCat(root_.string(), "/"))) {
      return Invalid(entry.path(), absl::StrCat("a symbolic link out of ", root_.string(),
                                                "; put the files themselves into the data set"));
    }
    return absl::OkStatus();
  }

 private:
  explicit Tree(fs::path root) : root_(std::move(root)) {}
  fs::path root_;  // canonical
};

// The subfolder of the validation split, as timm looks for it, or `folder` itself.
absl::StatusOr<std::string> SplitFolder(const Tree& tree, const std::string& folder) {
  for (const char* split : {"validation", "val"}) {
    const fs::directory_entry entry(fs::path(folder) / split);
    std::error_code error;
    if (entry.is_directory(error)) {
      RETURN_IF_ERROR(tree.StaysInside(entry));
      return entry.path().string();
    }
  }
  return folder;
}

// By number.
absl::StatusOr<std::vector<std::string>> ListClasses(const Tree& tree, const std::string& folder) {
  ASSIGN_OR_RETURN(const auto entries, tree.List(folder));
  std::vector<std::string> classes;
  for (const fs::directory_entry& entry : entries) {
    std::error_code error;
    if (entry.is_directory(error)) {
      RETURN_IF_ERROR(tree.StaysInside(entry));
      classes.push_back(entry.path().filename().string());
      if (!IsAscii(classes.back())) {
        return Invalid(entry.path(),
                       "the order of class folders is defined for ASCII names only; rename it");
      }
    } else if (IsImage(entry.path())) {
      return Invalid(entry.path(), "an image outside of a class folder; put it into one");
    }
  }
  std::sort(classes.begin(), classes.end(), [](const std::string& a, const std::string& b) {
    const int order = CompareNaturally(a, b);
    return order != 0 ? order < 0 : a < b;
  });
  for (size_t i = 1; i < classes.size(); ++i) {
    if (CompareNaturally(classes[i - 1], classes[i]) == 0) {
      return Invalid(folder, absl::StrCat("class folders '", classes[i - 1], "' and '", classes[i],
                                          "' have no order among each other; rename one"));
    }
  }
  return classes;
}

// Names of the images in one class folder, in no order.
absl::StatusOr<std::vector<std::string>> ListImages(const Tree& tree, const std::string& folder) {
  ASSIGN_OR_RETURN(const auto entries, tree.List(folder));
  std::vector<std::string> images;
  for (const fs::directory_entry& entry : entries) {
    std::error_code error;
    if (entry.is_directory(error)) {
      return Invalid(entry.path(),
                     "a folder inside of a class folder; images lie in the class folders "
                     "themselves, and these in the data set's folder, in validation or in val");
    }
    if (!IsImage(entry.path())) {
      continue;
    }
    RETURN_IF_ERROR(tree.StaysInside(entry));
    if (!entry.is_regular_file(error)) {
      return Invalid(entry.path(), "not a regular file");
    }
    images.push_back(entry.path().filename().string());
  }
  if (images.empty()) {
    return Invalid(folder, "a class folder without images; remove it, or fetch its images again");
  }
  return images;
}

}  // namespace

absl::StatusOr<std::optional<ImageFolder>> FindImageFolder(const std::string& folder) {
  ASSIGN_OR_RETURN(const Tree tree, Tree::Open(folder));
  ImageFolder found;
  ASSIGN_OR_RETURN(found.folder, SplitFolder(tree, folder));
  ASSIGN_OR_RETURN(const std::vector<std::string> classes, ListClasses(tree, found.folder));
  if (classes.empty()) {
    return std::nullopt;
  }
  std::vector<std::pair<std::string, int>> images;  // with their labels
  for (size_t label = 0; label < classes.size(); ++label) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names,
                     ListImages(tree, absl::StrCat(found.folder, "/", classes[label])));
    for (const std::string& name : names) {
      images.emplace_back(absl::StrCat(classes[label], "/", name), static_cast<int>(label));
    }
  }
  // By the whole path, as timm: that is not always by class and then by name.
  std::sort(images.begin(), images.end(), [](const auto& a, const auto& b) {
    const int order = CompareNaturally(a.first, b.first);
    return order != 0 ? order < 0 : a.first < b.first;
  });
  for (auto& [name, label] : images) {
    found.images.push_back(std::move(name));
    found.labels.push_back(label);
  }
  return found;
}

absl::StatusOr<std::vector<Sample>> IndexImages(const ImageFolder& images) {
  std::vector<Sample> samples;
  samples.reserve(images.images.size());
  for (size_t i = 0; i < images.images.size(); ++i) {
    const fs::path path = fs::path(images.folder) / images.images[i];
    std::error_code error;
    const uintmax_t size = fs::file_size(path, error);
    if (error) {
      return absl::ErrnoToStatus(error.value(), path.string());
    }
    samples.push_back({static_cast<int>(i), fs::path(images.images[i]).replace_extension().string(),
                       /*offset=*/0, static_cast<int64_t>(size), images.labels[i]});
  }
  return samples;
}

}  // namespace bitquake
