// Where a worker finds models and data sets: names below its roots, nothing outside of them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace bitquake {

struct Roots {
  std::vector<std::string> folders;          // searched in order
  std::map<std::string, std::string> named;  // names that stand for a path, before the folders
};

// The folder that `name` stands for; `what` ("model", "data set") and `flag` ("--model-root") make
// the error helpful. Errors: InvalidArgument for a name that could lead outside of the roots, or
// a link that does; NotFound, with what is there.
absl::StatusOr<std::string> Resolve(const Roots& roots, const std::string& name,
                                    const std::string& what, const std::string& flag);

}  // namespace bitquake
