// How many images a data set has, without opening any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace bitquake {

// By what its _info.json states, or by the names of the images in its class folders. For forecasts:
// the worker that opens the data set counts, and checks. None if neither says it.
std::optional<int64_t> CountImages(const std::string& folder);

}  // namespace bitquake
