#include "worker/data/natural_order.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace bitquake {
namespace {

// Cuts off and returns the first characters of `text` that are digits, or that are none.
absl::string_view TakeRun(absl::string_view& text, bool digits) {
  const auto end = std::find_if(text.begin(), text.end(), [digits](unsigned char c) {
    return static_cast<bool>(absl::ascii_isdigit(c)) != digits;
  });
  const absl::string_view run = text.substr(0, end - text.begin());
  text.remove_prefix(run.size());
  return run;
}

// Bytes beyond ASCII come after it, as their characters do.
int Rank(char c) {
  return static_cast<unsigned char>(absl::ascii_tolower(static_cast<unsigned char>(c)));
}

int CompareText(absl::string_view a, absl::string_view b) {
  const size_t shorter = std::min(a.size(), b.size());
  for (size_t i = 0; i < shorter; ++i) {
    const int difference = Rank(a[i]) - Rank(b[i]);
    if (difference != 0) {
      return difference;
    }
  }
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

// Numbers of any length.
int CompareNumbers(absl::string_view a, absl::string_view b) {
  a.remove_prefix(std::min(a.find_first_not_of('0'), a.size()));
  b.remove_prefix(std::min(b.find_first_not_of('0'), b.size()));
  return a.size() != b.size() ? (a.size() < b.size() ? -1 : 1) : a.compare(b);
}

}  // namespace

int CompareNaturally(absl::string_view a, absl::string_view b) {
  for (;;) {
    const absl::string_view text_a = TakeRun(a, false), text_b = TakeRun(b, false);
    if (const int order = CompareText(text_a, text_b); order != 0) {
      return order;
    }
    if (a.empty() || b.empty()) {
      return a.empty() == b.empty() ? 0 : a.empty() ? -1 : 1;
    }
    const absl::string_view number_a = TakeRun(a, true), number_b = TakeRun(b, true);
    if (const int order = CompareNumbers(number_a, number_b); order != 0) {
      return order;
    }
  }
}

}  // namespace bitquake
