// What Bitquake makes of image files, for pixels_parity.py to compare.
//
//   parity_pixels MODEL_FOLDER PIXELS IMAGE...
//
// PIXELS becomes the images as the model's input takes them: 8-bit, planar, one after another.
#include <iostream>
#include <string>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/model/snapshot.h"
#include "worker/data/image.h"
#include "worker/data/transform.h"

namespace bitquake {
namespace {

absl::StatusOr<std::vector<uint8_t>> PixelsOf(const std::string& path,
                                              const Preprocessing& preprocessing) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  ASSIGN_OR_RETURN(const Image image, DecodeImage(bytes));
  return Preprocess(image, preprocessing);
}

absl::Status WritePixels(const std::string& model, const std::string& pixels_path,
                         const std::vector<std::string>& images) {
  ASSIGN_OR_RETURN(const ModelSnapshot snapshot, OpenSnapshot(model));
  std::string all;
  for (const std::string& path : images) {
    const auto pixels = PixelsOf(path, snapshot.architecture.preprocessing);
    if (!pixels.ok()) {
      return Annotate(pixels.status(), path);
    }
    all.append(pixels->begin(), pixels->end());
  }
  return WriteFileAtomically(pixels_path, all);
}

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: parity_pixels MODEL_FOLDER PIXELS IMAGE...\n";
    return 2;
  }
  const absl::Status status = bitquake::WritePixels(argv[1], argv[2], {argv + 3, argv + argc});
  if (!status.ok()) {
    std::cerr << "parity_pixels: " << status.ToString() << "\n";
    return 1;
  }
  return 0;
}
