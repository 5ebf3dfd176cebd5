// A regular expression (RE2) that selects names. Compiling and matching are bounded in time and
// memory, whoever wrote it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace bitquake {

inline constexpr size_t kMaxPatternBytes = 4000;

class Pattern {  // thread-safe; movable
 public:
  // Errors: InvalidArgument that names the text: empty, too long, no regular expression, or one
  // that takes more than 1 MiB.
  static absl::StatusOr<Pattern> Compile(absl::string_view text);

  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  // Whether it matches a part of the name.
  bool Matches(absl::string_view name) const;

 private:
  explicit Pattern(std::unique_ptr<const re2::RE2> regex);

  std::unique_ptr<const re2::RE2> regex_;
};

}  // namespace bitquake
