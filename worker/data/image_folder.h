// A data set as a folder of images for each class ("n01440764/ILSVRC2012_val_00000293.JPEG"), read
// as timm's ImageFolder reads it. The class folders lie in the data set's folder, or in its
// subfolder `validation` or `val` if it has one. Classes are numbered, and images ordered, by
// timm's natural order of their paths (natural_order.h). Images end in .jpg, .jpeg or .png, in any
// case.
//
// Where timm would give numbers that depend on chance or that others read otherwise, this is an
// error: a class folder without images (timm numbers the classes without it), class folders whose
// order is not defined ("a1", "A01"), images outside of class folders, folders inside of them (timm
// takes the inner folder's name for the class, torchvision the outer one's). Hidden files and
// folders are passed over.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/sample.h"

namespace bitquake {

struct ImageFolder {
  std::string folder;               // that holds the class folders
  std::vector<std::string> images;  // "class/image.JPEG", in order
  std::vector<int> labels;          // of each image
};

// Nothing if `folder` holds neither folders nor images. Errors, naming the path: InvalidArgument
// for the above, a symbolic link that leads out of `folder`, an image that is not a regular file;
// NotFound for a link that leads nowhere.
absl::StatusOr<std::optional<ImageFolder>> FindImageFolder(const std::string& folder);

// One for each image, in order; the image is its own shard.
absl::StatusOr<std::vector<Sample>> IndexImages(const ImageFolder& images);

}  // namespace bitquake
