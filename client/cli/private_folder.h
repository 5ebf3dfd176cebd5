// A new folder of this user's alone, below the system's folder for temporary files.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace bitquake {

// Removed, with all that is in it, with this object. Links in it are removed, not what they lead
// to.
class PrivateFolder {
 public:
  // Errors: what the system says, the place named.
  static absl::StatusOr<std::unique_ptr<PrivateFolder>> Create();
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;
  ~PrivateFolder();

  const std::string& folder() const { return folder_; }  // absolute
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

 private:
  explicit PrivateFolder(std::string folder) : folder_(std::move(folder)) {}

  const std::string folder_;
};

}  // namespace bitquake
