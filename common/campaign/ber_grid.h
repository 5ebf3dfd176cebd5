// A logarithmic grid of bit-error rates, as `ber: {from, to, per_decade}` states it.
#pragma once

#include <cstdint>
#include <vector>

#include "common/campaign/document.h"

namespace bitquake {

// The double that reads as `value` written with `digits` significant decimal digits.
double RoundToDigits(double value, int digits);

// How many rates LogGrid would give, to within one.
double LogGridSize(double from, double to, int per_decade);

// `from`, then from * 10^(k / per_decade) for k = 1, 2, ... while below `to`, then `to`: ascending,
// both ends exactly as given, the rates between rounded to 9 significant digits (3.16227766e-09),
// so that every machine has the same doubles and they print short. 0 < from <= to, per_decade > 0.
std::vector<double> LogGrid(double from, double to, int per_decade);

// The rates that a `ber` field states (a rate, a list, or a grid): ascending, each once. `ber` has
// passed the schema.
std::vector<double> BerFromJson(const Json& ber);

}  // namespace bitquake
