// Prints, for json_schema_test.py, the JSON Schema and every file of a corpus as plain JSON:
// {"schema": ..., "files": {"name.yaml": value}}. A file that is not YAML has no entry.
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "common/base/file.h"
#include "common/campaign/campaign.h"
#include "common/campaign/document.h"

int main(int argc, char** argv) {
  bitquake::Json out = {{"schema", bitquake::Json::parse(bitquake::CampaignJsonSchema())},
                        {"files", bitquake::Json::object()}};
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      const absl::StatusOr<std::string> text = bitquake::ReadFile(entry.path().string());
      if (entry.path().extension() != ".yaml" || !text.ok()) {
        continue;
      }
      bitquake::Problems problems;
      if (const auto node = bitquake::ParseDocument(*text, &problems)) {
        out["files"][entry.path().filename().string()] = bitquake::ToPlainJson(*node);
      }
    }
  }
  std::cout << out.dump() << "\n";
}
