#include "common/campaign/protection_entry.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace bitquake {
namespace {

using Scheme = Protection::Scheme;
using Uncorrectable = Protection::Uncorrectable;
using Outside = Protection::Outside;

constexpr std::array kSchemes = {Scheme::kSecded, Scheme::kParity, Scheme::kTmr, Scheme::kClamp};

Scheme SchemeFromName(const std::string& name) {
  return *std::find_if(kSchemes.begin(), kSchemes.end(), [&name](Scheme scheme) {
    Protection protection;
    protection.scheme = scheme;
    return protection.Name() == name;
  });
}

}  // namespace

Protection ProtectionFromJson(const Json& json) {
  Protection protection;
  if (json.is_string()) {
    protection.scheme = SchemeFromName(json.get<std::string>());
    return protection;
  }
  protection.scheme = SchemeFromName(json.at("scheme").get<std::string>());
  protection.check_bits_exposed = json.value("check_bits", std::string("exposed")) == "exposed";
  protection.uncorrectable = json.value("uncorrectable", std::string("zero")) == "zero"
                                 ? Uncorrectable::kZero
                                 : Uncorrectable::kKeep;
  protection.copied_bits = json.value("bits", 0);
  protection.outside =
      json.value("outside", std::string("clamp")) == "zero" ? Outside::kZero : Outside::kClamp;
  return protection;
}

Json ToJson(const Protection& protection) {
  Json json = {{"scheme", protection.Name()}};
  const char* const check_bits = protection.check_bits_exposed ? "exposed" : "safe";
  switch (protection.scheme) {
    case Scheme::kNone:
      return nullptr;
    case Scheme::kSecded:
      json["uncorrectable"] = protection.uncorrectable == Uncorrectable::kZero ? "zero" : "keep";
      json["check_bits"] = check_bits;
      break;
    case Scheme::kParity:
      json["check_bits"] = check_bits;
      break;
    case Scheme::kTmr:
      json["bits"] = protection.copied_bits;
      break;
    case Scheme::kClamp:
      json["outside"] = protection.outside == Outside::kZero ? "zero" : "clamp";
      break;
  }
  return json;
}

std::vector<FaultModel::Protected> ProtectedFromJson(const Json& protect) {
  std::vector<FaultModel::Protected> entries;
  for (const Json& json : protect) {
    FaultModel::Protected entry;
    if (json.is_string()) {
      entry.target = json.get<std::string>();
    } else {
      entry.target = json.value("target", std::string());
      entry.match = json.value("match", std::string());
      entry.top = json.value("top", 0);
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Json ToJson(const std::vector<FaultModel::Protected>& protect) {
  Json json = Json::array();
  for (const FaultModel::Protected& entry : protect) {
    if (entry.match.empty() && entry.top == 0) {
      json.push_back(entry.target);
      continue;
    }
    Json item = entry.match.empty() ? Json{{"target", entry.target}} : Json{{"match", entry.match}};
    if (entry.top > 0) {
      item["top"] = entry.top;
    }
    json.push_back(std::move(item));
  }
  return json;
}

}  // namespace bitquake
