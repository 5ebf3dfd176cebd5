#include "common/base/shown.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace bitquake {

std::string Shown(absl::string_view text) {
  constexpr size_t kLongest = 80;
  if (text.size() <= kLongest) {
    return absl::Utf8SafeCEscape(text);
  }
  size_t end = kLongest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;  // not within a character
  }
  return absl::StrCat(absl::Utf8SafeCEscape(text.substr(0, end)), "...");
}

}  // namespace bitquake
