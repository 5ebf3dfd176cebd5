// Whether a model folder and a data set give the accuracy that was published for the model: then
// weights, preprocessing, labels and their order are as they should be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/doctor_checks.h"
#include "client/cli/published.h"
#include "common/model/architecture.h"

namespace bitquake {

// Near-ties that devices decide differently move a figure of 50,000 images by less;
// a wrong filter, crop or order of classes by more.
inline constexpr double kGoldenTolerancePp = 0.03;

// What was measured without faults, in fp32, on all images of a data set.
struct GoldenMeasured {
  int64_t images = 0;
  int64_t top1 = 0;  // of them correct
};

// Bad: another accuracy than that of `table`, another number of images, other preprocessing. A
// warning: the table has no figure for `model`. `figures` names the table to people.
Check CheckGolden(const std::string& model, const Preprocessing& preprocessing,
                  const GoldenMeasured& measured, const std::vector<PublishedFigure>& table,
                  const std::string& figures);

}  // namespace bitquake
