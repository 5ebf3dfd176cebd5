// Where a folder that a person names lies.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace bitquake {

// The folder of this name (or absolute path) beside `beside`, or else below the first of `roots`
// that has it; canonical. `what` and `flag` are for the error: "model", "--model-root". Errors:
// NotFound, with the places looked at and the folders there that have a near name.
absl::StatusOr<std::string> FindFolder(const std::string& name, const std::string& beside,
                                       const std::vector<std::string>& roots,
                                       const std::string& what, const std::string& flag);

// The folders in a folder, sorted, but for those whose names begin with a dot; none if it cannot be
// read.
std::vector<std::filesystem::path> FoldersIn(const std::string& folder);

}  // namespace bitquake
