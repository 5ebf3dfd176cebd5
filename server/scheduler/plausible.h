// What no outcome can be, whoever computed it: counts that contradict each other.
#pragma once

#include <string>

#include "server/scheduler/work.h"

namespace bitquake {

// Each returns what is wrong; empty if nothing is. That the counts are those of the right images is
// for the caller to see.
std::string WhatCannotBe(const ProbeOutcome& probe);
std::string WhatCannotBe(const GoldenOutcomeReport& golden);
std::string WhatCannotBe(const TrialOutcomeReport& trial);

}  // namespace bitquake
