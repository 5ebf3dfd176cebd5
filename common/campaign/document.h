// A YAML text as a tree of plain values, each with its place in the file. It knows nothing of
// campaigns.
//
// YAML is read by its core schema (1.2): `1e-9` is a number, `"1e-9"` is text, `yes` is text. What
// a hostile file could grow without bound is refused: aliases and anchors, tags, nesting beyond
// kMaxDepth, more than kMaxValues values.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bitquake {

using Json = nlohmann::ordered_json;

inline constexpr int kMaxDepth = 20;
inline constexpr int kMaxValues = 100'000;
inline constexpr int kMaxProblemsShown = 100;

// Both count from 1; columns count bytes.
struct Position {
  int line = 1;
  int column = 1;
};

// What is wrong with a file, collected in one pass.
class Problems {
 public:
  void Add(Position at, std::string message);

  bool empty() const { return problems_.empty(); }
  // Beyond kMaxProblemsShown problems are only counted.
  bool full() const { return problems_.size() >= kMaxProblemsShown; }

  // OK, or InvalidArgument with a line "file:line:column: message" for each, sorted by place.
  absl::Status ToStatus(absl::string_view file_name) const;

 private:
  struct Problem {
    Position at;
    std::string message;
  };
  std::vector<Problem> problems_;
  int64_t left_out_ = 0;
};

struct Member;

struct Node {
  enum class Kind { kNull, kBool, kInteger, kNumber, kText, kList, kMap };
  Kind kind = Kind::kNull;
  Position at;

  std::string text;  // of a scalar, as written
  // Of a scalar. kInteger: signed or unsigned 64 bits, a double beyond; also 1e3, a whole number.
  // A number that no finite double stands for (.nan, .inf, 1e999) is a kNumber with null here.
  Json value;

  std::vector<Node> items;      // kList
  std::vector<Member> members;  // kMap: in the file's order, each key once

  const Node* Find(absl::string_view key) const;  // a member of a kMap, or null
};

struct Member {
  std::string key;
  Position at;  // of the key
  Node value;
};

// Nothing if the text is not readable at all; then `problems` says why. Duplicate keys are problems
// too, and the first of them is kept. An empty text is a null.
std::optional<Node> ParseDocument(absl::string_view text, Problems* problems);

// The values without their places, as JSON.
Json ToPlainJson(const Node& node);

}  // namespace bitquake
