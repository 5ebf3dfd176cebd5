#include "common/base/pattern.h"

#include <re2/re2.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

constexpr int64_t kMaxCompiledBytes = int64_t{1} << 20;

re2::StringPiece ToPiece(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::StatusOr<Pattern> Pattern::Compile(absl::string_view text) {
  if (text.empty() || text.size() > kMaxPatternBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a regular expression of ", text.size(),
                                                   " bytes; it takes 1 to ", kMaxPatternBytes));
  }
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxCompiledBytes);
  auto regex = std::make_unique<const RE2>(ToPiece(text), options);
  if (!regex->ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", absl::Utf8SafeCEscape(text),
        "' is not a regular expression (RE2): ", absl::Utf8SafeCEscape(regex->error())));
  }
  return Pattern(std::move(regex));
}

Pattern::Pattern(std::unique_ptr<const re2::RE2> regex) : regex_(std::move(regex)) {}
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

bool Pattern::Matches(absl::string_view name) const {
  return RE2::PartialMatch(ToPiece(name), *regex_);
}

}  // namespace bitquake
