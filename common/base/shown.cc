#include "common/base/shown.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

std::string WithoutControls(absl::string_view text, bool keep_lines) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (c == 0xC2 && next >= 0x80 && next < 0xA0) {  // C1 in UTF-8
      out.push_back('?');
      ++i;
    } else {
      const bool control = absl::ascii_iscntrl(c) && !(keep_lines && c == '\n');
      out.push_back(control ? '?' : text[i]);
    }
  }
  return out;
}

}  // namespace

std::string Printable(absl::string_view text) { return WithoutControls(text, false); }

std::string PrintableLines(absl::string_view text) { return WithoutControls(text, true); }

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
