#include "common/campaign/ber_grid.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace bitquake {

double RoundToDigits(double value, int digits) {
  char text[64];
  const auto [end, error] =
      std::to_chars(text, text + sizeof(text), value, std::chars_format::scientific, digits - 1);
  double rounded = value;
  if (error == std::errc()) {
    std::from_chars(text, end, rounded);
  }
  return rounded;
}

double LogGridSize(double from, double to, int per_decade) {
  return (std::log10(to) - std::log10(from)) * per_decade + 1;
}

std::vector<double> LogGrid(double from, double to, int per_decade) {
  constexpr int kDigits = 9;
  std::vector<double> grid = {from};
  for (int k = 1;; ++k) {
    const double rate =
        RoundToDigits(from * std::pow(10.0, static_cast<double>(k) / per_decade), kDigits);
    if (rate >= RoundToDigits(to, kDigits)) {
      break;
    }
    if (rate > grid.back()) {
      grid.push_back(rate);
    }
  }
  if (to > from) {
    grid.push_back(to);
  }
  return grid;
}

std::vector<double> BerFromJson(const Json& ber) {
  if (ber.is_object()) {
    return LogGrid(ber.at("from").get<double>(), ber.at("to").get<double>(),
                   ber.at("per_decade").get<int>());
  }
  std::vector<double> rates =
      ber.is_array() ? ber.get<std::vector<double>>() : std::vector<double>{ber.get<double>()};
  std::sort(rates.begin(), rates.end());
  // Rates that no logarithm tells apart are one.
  const auto same = [](double a, double b) { return a == b || std::log10(a) == std::log10(b); };
  rates.erase(std::unique(rates.begin(), rates.end(), same), rates.end());
  return rates;
}

}  // namespace bitquake
