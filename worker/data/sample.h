// Where one image of a data set lies, and its class.
#pragma once

#include <cstdint>
#include <string>

namespace bitquake {

struct Sample {
  int shard;        // index into Dataset::shards()
  std::string key;  // name without its extension: "val_8709", "n01440764/val_293"
  int64_t offset;   // of the image's bytes in the shard
  int64_t size;     // bytes
  int label;
};

// By its extension, which is lower-cased and without the dot.
inline bool IsImageExtension(const std::string& extension) {
  return extension == "jpg" || extension == "jpeg" || extension == "png";
}

}  // namespace bitquake
