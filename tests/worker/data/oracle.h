// tests/data/images: encoded images and tars, and what PIL and Python's tarfile say of them.
#pragma once

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/model/architecture.h"

namespace bitquake {

inline std::string OraclePath(const std::string& name) {
  return std::string(BITQUAKE_SOURCE_DIR "/tests/data/images/") + name;
}

inline std::string OracleFile(const std::string& name) {
  return ReadFile(OraclePath(name)).value();
}

inline const nlohmann::json& Expected() {
  static const auto* expected =
      new nlohmann::json(nlohmann::json::parse(std::ifstream(OraclePath("expected.json"))));
  return *expected;
}

inline std::string PixelDigest(const std::vector<uint8_t>& pixels) {
  return Sha256Hex({reinterpret_cast<const char*>(pixels.data()), pixels.size()});
}

// A transform of expected.json, by its name.
inline Preprocessing OracleTransform(const std::string& name) {
  const nlohmann::json& json = Expected()["transforms"].at(name);
  Preprocessing preprocessing;
  preprocessing.height = json["height"];
  preprocessing.width = json["width"];
  preprocessing.crop_pct = json["crop_pct"];
  preprocessing.crop_mode = json["crop_mode"];
  preprocessing.interpolation = json["interpolation"];
  return preprocessing;
}

}  // namespace bitquake
