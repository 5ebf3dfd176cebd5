#include "common/campaign/scalar.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace bitquake {
namespace {

bool IsOneOf(absl::string_view text, std::initializer_list<absl::string_view> names) {
  for (absl::string_view name : names) {
    if (text == name) {
      return true;
    }
  }
  return false;
}

Node Scalar(Node::Kind kind, absl::string_view text, Json value) {
  Node node;
  node.kind = kind;
  node.text = std::string(text);
  node.value = std::move(value);
  return node;
}

bool ConsumeDigits(absl::string_view* text) {
  const size_t before = text->size();
  while (!text->empty() && absl::ascii_isdigit(text->front())) {
    text->remove_prefix(1);
  }
  return text->size() < before;
}

// [-+]? ( "." digits | digits ( "." digits? )? ) ( [eE] [-+]? digits )?
bool IsDecimal(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "-")) {
    absl::ConsumePrefix(&text, "+");
  }
  const bool whole = ConsumeDigits(&text);
  const bool fraction = absl::ConsumePrefix(&text, ".") && ConsumeDigits(&text);
  if (!whole && !fraction) {
    return false;
  }
  if (absl::ConsumePrefix(&text, "e") || absl::ConsumePrefix(&text, "E")) {
    if (!absl::ConsumePrefix(&text, "-")) {
      absl::ConsumePrefix(&text, "+");
    }
    if (!ConsumeDigits(&text)) {
      return false;
    }
  }
  return text.empty();
}

// All of `text` as a T; false if it is something else or out of T's range.
template <typename T, typename... Base>
bool ReadAll(absl::string_view text, T* value, Base... base) {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, *value, base...);
  return error == std::errc() && rest == end;
}

Json IntegerJson(int64_t value) {
  return value < 0 ? Json(value) : Json(static_cast<uint64_t>(value));
}

Node Decimal(absl::string_view text) {
  absl::string_view digits = text;
  absl::ConsumePrefix(&digits, "+");
  uint64_t natural;
  if (ReadAll(digits, &natural)) {
    return Scalar(Node::Kind::kInteger, text, natural);
  }
  int64_t integer;
  if (ReadAll(digits, &integer)) {
    return Scalar(Node::Kind::kInteger, text, IntegerJson(integer));
  }
  double number;
  if (!ReadAll(digits, &number) || !std::isfinite(number)) {
    return Scalar(Node::Kind::kNumber, text, nullptr);
  }
  if (number != std::floor(number)) {
    return Scalar(Node::Kind::kNumber, text, number);
  }
  // A whole double below 2^64 is that integer exactly.
  if (number >= 0 && number < 18446744073709551616.0) {
    return Scalar(Node::Kind::kInteger, text, static_cast<uint64_t>(number));
  }
  if (number < 0 && number >= -9223372036854775808.0) {
    return Scalar(Node::Kind::kInteger, text, IntegerJson(static_cast<int64_t>(number)));
  }
  return Scalar(Node::Kind::kInteger, text, number);
}

// Decodes the character at the front; its length, or 0 if it is malformed (RFC 3629).
size_t DecodeUtf8(absl::string_view text, uint32_t* character) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) {
    *character = lead;
    return 1;
  }
  const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < size) {
    return 0;
  }
  *character = lead & (0x7F >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) {
      return 0;
    }
    *character = *character << 6 | (byte(i) & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = *character >= 0xD800 && *character <= 0xDFFF;
  return *character < kSmallest[size] || *character > 0x10FFFF || surrogate ? 0 : size;
}

bool IsControl(uint32_t character) {
  return character < 0x20 || (character >= 0x7F && character < 0xA0);
}

}  // namespace

Node TextNode(absl::string_view text) { return Scalar(Node::Kind::kText, text, std::string(text)); }

Node ResolvePlainScalar(absl::string_view text) {
  if (IsOneOf(text, {"", "~", "null", "Null", "NULL"})) {
    return Scalar(Node::Kind::kNull, text, nullptr);
  }
  if (IsOneOf(text, {"true", "True", "TRUE"})) {
    return Scalar(Node::Kind::kBool, text, true);
  }
  if (IsOneOf(text, {"false", "False", "FALSE"})) {
    return Scalar(Node::Kind::kBool, text, false);
  }
  if (IsDecimal(text)) {
    return Decimal(text);
  }
  uint64_t natural;
  if ((absl::StartsWith(text, "0x") && ReadAll(text.substr(2), &natural, 16)) ||
      (absl::StartsWith(text, "0o") && ReadAll(text.substr(2), &natural, 8))) {
    return Scalar(Node::Kind::kInteger, text, natural);
  }
  absl::string_view magnitude = text;
  if (!absl::ConsumePrefix(&magnitude, "-")) {
    absl::ConsumePrefix(&magnitude, "+");
  }
  if (IsOneOf(magnitude, {".inf", ".Inf", ".INF"}) || IsOneOf(text, {".nan", ".NaN", ".NAN"})) {
    return Scalar(Node::Kind::kNumber, text, nullptr);
  }
  return TextNode(text);
}

std::optional<Position> FindUnprintable(absl::string_view text) {
  Position at;
  constexpr uint32_t kNextLine = 0x85;  // which YAML calls printable
  while (!text.empty()) {
    uint32_t character = 0;
    const size_t size = DecodeUtf8(text, &character);
    const bool allowed = !IsControl(character) || character == '\t' || character == '\n' ||
                         character == '\r' || character == kNextLine;
    if (size == 0 || !allowed) {
      return at;
    }
    at = character == '\n' ? Position{at.line + 1, 1}
                           : Position{at.line, at.column + static_cast<int>(size)};
    text.remove_prefix(size);
  }
  return std::nullopt;
}

bool HasControlCharacter(absl::string_view text) {
  while (!text.empty()) {
    uint32_t character = 0;
    const size_t size = DecodeUtf8(text, &character);
    if (size == 0 || IsControl(character)) {
      return true;
    }
    text.remove_prefix(size);
  }
  return false;
}

size_t CharacterCount(absl::string_view text) {
  size_t count = 0;
  for (const char c : text) {
    count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }
  return count;
}

}  // namespace bitquake
