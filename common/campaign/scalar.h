// What a single YAML value means, and which bytes may stand in a text file.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "common/campaign/document.h"

namespace bitquake {

// An unquoted scalar by YAML's core schema: null, bool, integer (also 0x1f, 0o17), number, else
// text. A number without a fraction is an integer however it is written: 1e3 is 1000.
Node ResolvePlainScalar(absl::string_view text);

Node TextNode(absl::string_view text);

// The first byte that is not part of UTF-8 text: malformed, or a control character other than tab
// and line ends.
std::optional<Position> FindUnprintable(absl::string_view text);

// Whether a text holds a control character (C0, DEL, C1); `text` is UTF-8.
bool HasControlCharacter(absl::string_view text);

// In characters; `text` is UTF-8.
size_t CharacterCount(absl::string_view text);

}  // namespace bitquake
