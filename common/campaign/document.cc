#include "common/campaign/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/shown.h"
#include "common/campaign/scalar.h"

namespace bitquake {
namespace {

Position ToPosition(const YAML::Mark& mark) {
  return mark.is_null() ? Position{} : Position{mark.line + 1, mark.column + 1};
}

// Thrown through yaml-cpp to end the reading after a problem that makes the rest meaningless;
// caught in ParseDocument.
struct Stop {};

// Builds the tree from yaml-cpp's events, which come before it would resolve aliases or merge keys.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Problems* problems) : problems_(problems) {}

  Node TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      Refuse(mark, "unexpected text after the end of the campaign; a file holds one");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { AddScalar(mark, "", false); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(mark, "aliases ('*name') are not supported; write the value out");
  }

  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    Refuse(mark, "anchors ('&name') are not supported; write the value out");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    RefuseTag(mark, tag);
    AddScalar(mark, value, /*quoted=*/tag == "!");
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    RefuseTag(mark, tag);
    Open(mark, Node::Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    RefuseTag(mark, tag);
    Open(mark, Node::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map whose end is still to come.
  struct OpenNode {
    Node node;
    std::unordered_set<std::string> keys;  // of a map, so far
    std::optional<Member> member;          // of a map: has its key, waits for its value
  };

  [[noreturn]] void Refuse(const YAML::Mark& mark, std::string message) {
    problems_->Add(ToPosition(mark), std::move(message));
    throw Stop();
  }

  // "?" marks plain values and "!" quoted ones; an empty tag is yaml-cpp's for neither.
  void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {
      Refuse(mark, "tags ('!name') are not supported; write the plain value");
    }
  }

  bool KeyExpected() const {
    return !open_.empty() && open_.back().node.kind == Node::Kind::kMap && !open_.back().member;
  }

  void CountValue(const YAML::Mark& mark) {
    if (++values_ > kMaxValues) {
      Refuse(mark, absl::StrCat("more than ", kMaxValues, " values; no campaign needs as many"));
    }
  }

  void AddScalar(const YAML::Mark& mark, const std::string& text, bool quoted) {
    CountValue(mark);
    if (KeyExpected()) {
      if (text.empty() && !quoted) {
        Refuse(mark, "a field needs a name before its ':'");
      }
      open_.back().member = Member{text, ToPosition(mark), Node()};
      return;
    }
    Node node = quoted ? TextNode(text) : ResolvePlainScalar(text);
    node.at = ToPosition(mark);
    Attach(std::move(node));
  }

  void Open(const YAML::Mark& mark, Node::Kind kind) {
    CountValue(mark);
    if (KeyExpected()) {
      Refuse(mark, "a field's name must be text, not a list or a map");
    }
    if (open_.size() >= kMaxDepth) {
      Refuse(mark, absl::StrCat("nested more than ", kMaxDepth, " levels deep"));
    }
    OpenNode open;
    open.node.kind = kind;
    open.node.at = ToPosition(mark);
    open_.push_back(std::move(open));
  }

  void Close() {
    Node node = std::move(open_.back().node);
    open_.pop_back();
    Attach(std::move(node));
  }

  void Attach(Node node) {
    if (open_.empty()) {
      if (node.kind == Node::Kind::kNull) {
        node.at = {};  // an empty file: yaml-cpp places its null at the end
      }
      root_ = std::move(node);
      return;
    }
    OpenNode& parent = open_.back();
    if (parent.node.kind == Node::Kind::kList) {
      parent.node.items.push_back(std::move(node));
      return;
    }
    Member member = *std::exchange(parent.member, std::nullopt);
    if (!parent.keys.insert(member.key).second) {
      problems_->Add(member.at,
                     absl::StrCat("field '", Shown(member.key), "' is given twice; leave one out"));
      return;
    }
    if (node.kind == Node::Kind::kNull && node.at.line != member.at.line) {
      node.at = member.at;  // nothing was written; yaml-cpp places it at whatever comes next
    }
    member.value = std::move(node);
    parent.node.members.push_back(std::move(member));
  }

  Problems* problems_;
  Node root_;
  std::vector<OpenNode> open_;
  int documents_ = 0;
  int values_ = 0;
};

// What yaml-cpp says is wrong, in our words where its own do not help.
std::string Explained(const std::string& message) {
  if (message == YAML::ErrorMsg::DOC_IN_SCALAR) {
    return "a quoted text is not closed before here";
  }
  if (message == YAML::ErrorMsg::TAB_IN_INDENTATION) {
    return "not YAML: a tab indents this line; indent with spaces";
  }
  return absl::StrCat("not YAML: ", Shown(message));
}

}  // namespace

void Problems::Add(Position at, std::string message) {
  if (full()) {
    ++left_out_;
  } else {
    problems_.push_back({at, std::move(message)});
  }
}

absl::Status Problems::ToStatus(absl::string_view file_name) const {
  if (problems_.empty()) {
    return absl::OkStatus();
  }
  std::vector<Problem> sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.at.line, a.at.column) < std::pair(b.at.line, b.at.column);
  });
  std::string lines;
  for (const Problem& problem : sorted) {
    absl::StrAppend(&lines, lines.empty() ? "" : "\n", file_name, ":", problem.at.line, ":",
                    problem.at.column, ": ", problem.message);
  }
  if (left_out_ > 0) {
    absl::StrAppend(&lines, "\n", file_name, ": and ", left_out_, " more problems");
  }
  return absl::InvalidArgumentError(lines);
}

const Node* Node::Find(absl::string_view key) const {
  for (const Member& member : members) {
    if (member.key == key) {
      return &member.value;
    }
  }
  return nullptr;
}

std::optional<Node> ParseDocument(absl::string_view text, Problems* problems) {
  if (const std::optional<Position> bad = FindUnprintable(text)) {
    problems->Add(*bad, "not text: a byte here is neither UTF-8 nor printable");
    return std::nullopt;
  }
  // yaml-cpp 0.7 takes a quoted text that the file's end cuts off for complete; the end marker,
  // which may not stand in quotes, makes it an error.
  std::istringstream stream{absl::StrCat(text, "\n...\n")};
  TreeBuilder builder(problems);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    return builder.TakeRoot();
  } catch (const Stop&) {
  } catch (const YAML::Exception& e) {
    problems->Add(ToPosition(e.mark), Explained(e.msg));
  } catch (const std::exception& e) {
    problems->Add({}, absl::StrCat("not readable as YAML: ", Shown(e.what())));
  }
  return std::nullopt;
}

Json ToPlainJson(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kList: {
      Json list = Json::array();
      for (const Node& item : node.items) {
        list.push_back(ToPlainJson(item));
      }
      return list;
    }
    case Node::Kind::kMap: {
      Json map = Json::object();
      for (const Member& member : node.members) {
        map.emplace(member.key, ToPlainJson(member.value));
      }
      return map;
    }
    default:
      return node.value;
  }
}

}  // namespace bitquake
