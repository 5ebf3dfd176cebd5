// How near the pixel cache comes to what libjpeg-turbo and the resize alone allow.
//
//   decode_bench DATA_FOLDER [IMAGES [THREADS]]
//
// Makes a data set of JPEGs in a temporary folder, by default 10,000 of 500 x 375 pixels as
// ImageNet has them: mosaics of DATA_FOLDER's images, in tars. Prints images/s of a bare loop over
// their bytes (decode by libjpeg-turbo into a buffer that is kept, resize and crop to 224 x 224,
// keep nothing), and of a cold start on the same cores: open and digest the data set, fill the
// cache, sync and map it. Side by side, the best of some rounds; then the ratio.
// clang-format off
#include <cstdio>  // before jpeglib.h, which needs FILE
#include <jpeglib.h>
// clang-format on

#include <archive.h>
#include <archive_entry.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iostream>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "worker/data/dataset.h"
#include "worker/data/image.h"
#include "worker/data/pixel_cache.h"
#include "worker/data/transform.h"

namespace bitquake {
namespace {

constexpr int kRounds = 3;
constexpr int kWidth = 500;
constexpr int kHeight = 375;
constexpr int kTile = 25;                                         // the mosaics are of 20 x 15
constexpr int kTiles = (kWidth / kTile) * (kHeight / kTile) * 3;  // one for each colour
constexpr int kQuality = 90;       // about 130 KB an image, as ImageNet's validation images have
constexpr int kMosaics = 100;      // that differ; then they come again
constexpr int kShardImages = 781;  // as timm/imagenet-1k-wds has in its 64 shards

struct Arguments {
  std::string data;
  int images = 10'000;
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
};

absl::Duration Now() { return SystemClock().Monotonic(); }

// timm's for ViT-B/16.
Preprocessing ImageNetPreprocessing() {
  Preprocessing p;
  p.channels = 3;
  p.width = p.height = 224;
  p.crop_pct = 0.9;
  p.crop_mode = "center";
  p.interpolation = "bicubic";
  return p;
}

absl::StatusOr<std::vector<Image>> ReadTiles(const Dataset& dataset) {
  std::vector<Image> tiles;
  const auto count = std::min<size_t>(dataset.samples().size(), kTiles);
  for (size_t i = 0; i < count; ++i) {
    const Sample& sample = dataset.samples()[i];
    ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(dataset.shards()[sample.shard]));
    ASSIGN_OR_RETURN(const Image image,
                     DecodeImage(file.bytes().substr(sample.offset, sample.size)));
    tiles.push_back(Resize(image, kTile, kTile, Filter::kBicubic));
  }
  return tiles;
}

// Each colour of each place shows another image: grey data sets give coloured mosaics.
Image Mosaic(const std::vector<Image>& tiles, int number) {
  Image mosaic{kWidth, kHeight, std::vector<uint8_t>(size_t{3} * kWidth * kHeight)};
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 0; c < 3; ++c) {
        const int place = (y / kTile * (kWidth / kTile) + x / kTile) * 3 + c;
        const Image& tile = tiles[(number + place) % tiles.size()];
        mosaic.rgb[(size_t(y) * kWidth + x) * 3 + c] =
            tile.rgb[(size_t(y % kTile) * kTile + x % kTile) * 3 + c];
      }
    }
  }
  return mosaic;
}

std::string EncodeJpeg(const Image& image) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);  // ends the program on an error
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = image.width;
  info.image_height = image.height;
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, kQuality, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPROW>(&image.rgb[size_t{3} * info.next_scanline * image.width]);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string encoded(reinterpret_cast<const char*>(bytes), size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
  return encoded;
}

// A tar in WebDataset form.
class Shard {
 public:
  explicit Shard(const std::string& path) : tar_(archive_write_new()) {
    archive_write_set_format_ustar(tar_);
    archive_write_open_filename(tar_, path.c_str());
  }

  absl::Status Add(const std::string& name, const std::string& bytes) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, bytes.size());
    archive_entry_set_filetype(entry, AE_IFREG);
    const bool written = archive_write_header(tar_, entry) == ARCHIVE_OK &&
                         archive_write_data(tar_, bytes.data(), bytes.size()) ==
                             static_cast<la_ssize_t>(bytes.size());
    archive_entry_free(entry);
    return written ? absl::OkStatus() : absl::DataLossError(archive_error_string(tar_));
  }

  absl::Status Close() {
    const bool closed = archive_write_close(tar_) == ARCHIVE_OK;
    const absl::Status status =
        closed ? absl::OkStatus() : absl::DataLossError(archive_error_string(tar_));
    archive_write_free(tar_);
    return status;
  }

 private:
  archive* tar_;
};

absl::Status WriteDataset(const Arguments& arguments, const std::string& folder) {
  ASSIGN_OR_RETURN(const Dataset source, Dataset::Open(arguments.data));
  ASSIGN_OR_RETURN(const std::vector<Image> tiles, ReadTiles(source));
  std::vector<std::string> mosaics;
  for (int i = 0; i < std::min(kMosaics, arguments.images); ++i) {
    mosaics.push_back(EncodeJpeg(Mosaic(tiles, i)));
  }
  for (int first = 0; first < arguments.images; first += kShardImages) {
    Shard shard(absl::StrFormat("%s/%05d.tar", folder, first / kShardImages));
    for (int i = first; i < std::min(first + kShardImages, arguments.images); ++i) {
      RETURN_IF_ERROR(shard.Add(absl::StrFormat("%06d.jpg", i), mosaics[i % mosaics.size()]));
      RETURN_IF_ERROR(shard.Add(absl::StrFormat("%06d.cls", i), "0"));
    }
    RETURN_IF_ERROR(shard.Close());
  }
  return absl::OkStatus();
}

// As plain as libjpeg-turbo's documentation has it.
void DecodeBare(absl::string_view bytes, Image* image) {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&info, TRUE);
  jpeg_start_decompress(&info);
  image->width = info.output_width;
  image->height = info.output_height;
  image->rgb.resize(size_t{3} * info.output_width * info.output_height);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = &image->rgb[size_t{3} * info.output_scanline * info.output_width];
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
}

// Seconds to decode and resize all images, without reading, checking, keeping or writing any.
absl::StatusOr<double> BareLoop(const Dataset& dataset, int threads) {
  std::vector<MappedFile> files;
  for (const std::string& shard : dataset.shards()) {
    ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(shard));
    files.push_back(std::move(file));
  }
  const Preprocessing preprocessing = ImageNetPreprocessing();
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  const auto work = [&] {
    Image image;
    for (size_t i = next++; i < dataset.samples().size(); i = next++) {
      const Sample& sample = dataset.samples()[i];
      DecodeBare(files[sample.shard].bytes().substr(sample.offset, sample.size), &image);
      failed = failed || !Preprocess(image, preprocessing).ok();
    }
  };
  const absl::Duration start = Now();
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) {
    others.emplace_back(work);
  }
  work();
  for (std::thread& other : others) {
    other.join();
  }
  if (failed) {
    return absl::InternalError("an image did not resize");
  }
  return absl::ToDoubleSeconds(Now() - start);
}

struct ColdStart {
  double index = 0;  // seconds, to open and digest the data set
  double fill = 0;   // to decode all of it into the cache's file, which is synced and mapped

  double total() const { return index + fill; }
};

absl::StatusOr<ColdStart> StartCold(const std::string& folder, const std::string& cache,
                                    int threads) {
  ColdStart seconds;
  absl::Duration start = Now();
  ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(folder));
  ASSIGN_OR_RETURN(const std::string digest, dataset.Digest(threads));
  seconds.index = absl::ToDoubleSeconds(Now() - start);
  start = Now();
  PixelCacheOptions options;
  options.folder = cache;
  options.threads = threads;
  RETURN_IF_ERROR(
      PixelCache::OpenOrBuild(dataset, digest, ImageNetPreprocessing(), options).status());
  seconds.fill = absl::ToDoubleSeconds(Now() - start);
  std::filesystem::remove_all(cache);
  return seconds;
}

absl::Status Bench(const Arguments& arguments) {
  std::string folder = (std::filesystem::temp_directory_path() / "decode_bench_XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    return absl::InternalError("no temporary folder");
  }
  const absl::Cleanup remove = [&folder] { std::filesystem::remove_all(folder); };
  const std::string data = folder + "/data";
  std::filesystem::create_directory(data);
  RETURN_IF_ERROR(WriteDataset(arguments, data));
  ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(data));
  int64_t bytes = 0;
  for (const Sample& sample : dataset.samples()) {
    bytes += sample.size;
  }
  absl::PrintF("%d JPEGs of %d x %d pixels, %d KB each; %d threads\n", arguments.images, kWidth,
               kHeight, bytes / arguments.images / 1000, arguments.threads);

  double bare = 0;
  ColdStart cold;
  for (int round = 0; round < kRounds; ++round) {
    ASSIGN_OR_RETURN(const double seconds, BareLoop(dataset, arguments.threads));
    bare = round == 0 ? seconds : std::min(bare, seconds);
    ASSIGN_OR_RETURN(const ColdStart start, StartCold(data, folder + "/cache", arguments.threads));
    cold = round == 0 || start.total() < cold.total() ? start : cold;
  }
  absl::PrintF(
      "bare loop  %8.1f images/s\ncold start %8.1f images/s (open and digest %.2f s, fill %.2f s)\n"
      "ratio      %8.3f, without open and digest %.3f\n",
      arguments.images / bare, arguments.images / cold.total(), cold.index, cold.fill,
      bare / cold.total(), bare / cold.fill);
  return absl::OkStatus();
}

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) {
  bitquake::Arguments arguments;
  CLI::App app("How near the pixel cache comes to what libjpeg-turbo and the resize alone allow.");
  app.add_option("DATA_FOLDER", arguments.data, "whose images the JPEGs are made of")->required();
  app.add_option("IMAGES", arguments.images)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("THREADS", arguments.threads)->check(CLI::PositiveNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bitquake::Bench(arguments);
  if (!status.ok()) {
    std::cerr << "decode_bench: " << status.message() << "\n";
    return 1;
  }
  return 0;
}
