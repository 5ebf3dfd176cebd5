// libjpeg reports errors by longjmp: nothing in this file that a jump passes over owns memory.
// clang-format off
#include <cstdio>  // before jpeglib.h, which needs FILE
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/image_codecs.h"

namespace bitquake {
namespace {

// Of libjpeg's state, with what our error handlers need behind it.
struct Decoder {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  jmp_buf on_error;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void Fail(j_common_ptr info) {
  auto* decoder = static_cast<Decoder*>(info->client_data);
  info->err->format_message(info, decoder->message);
  longjmp(decoder->on_error, 1);
}

// Each scan goes over the whole image, and takes a few bytes of the file if it says nothing. A
// progressive JPEG has about ten.
void LimitScans(j_common_ptr info) {
  constexpr int kMostScans = 100;
  auto* decoder = static_cast<Decoder*>(info->client_data);
  if (decoder->info.input_scan_number > kMostScans) {
    std::snprintf(decoder->message, sizeof(decoder->message), "more than %d scans", kMostScans);
    longjmp(decoder->on_error, 1);
  }
}

// Whether the file is long enough for the image of its header. A block of 8 x 8 samples takes a bit
// at least (arithmetic codes could take less, of an image that is blank). Where a JPEG has several
// scans, libjpeg takes memory for all blocks before it reads any.
bool MayHoldAllBlocks(const jpeg_decompress_struct& info, size_t bytes) {
  size_t blocks = 0;
  for (int c = 0; c < info.num_components; ++c) {
    blocks += size_t{info.comp_info[c].width_in_blocks} * info.comp_info[c].height_in_blocks;
  }
  return blocks <= 8 * bytes;
}

// A warning tells of corrupt or missing data, for which libjpeg makes up pixels; two tell only of
// an odd header that does not change any.
void FailOnCorruption(j_common_ptr info, int level) {
  const bool harmless =
      info->err->msg_code == JWRN_JFIF_MAJOR || info->err->msg_code == JWRN_ADOBE_XFORM;
  if (level < 0 && !harmless) {
    Fail(info);
  }
}

bool ReadHeader(Decoder* decoder, absl::string_view bytes) {
  if (setjmp(decoder->on_error) != 0) {
    return false;
  }
  jpeg_create_decompress(&decoder->info);
  decoder->info.progress = &decoder->progress;
  jpeg_mem_src(&decoder->info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&decoder->info, TRUE);
  return true;
}

bool ReadRows(Decoder* decoder, J_COLOR_SPACE colors, RowBuffer* rows) {
  if (setjmp(decoder->on_error) != 0) {
    return false;
  }
  decoder->info.out_color_space = colors;
  jpeg_start_decompress(&decoder->info);
  while (decoder->info.output_scanline < decoder->info.output_height) {
    JSAMPROW row = rows->Row(static_cast<int>(decoder->info.output_scanline));
    jpeg_read_scanlines(&decoder->info, &row, 1);
  }
  jpeg_finish_decompress(&decoder->info);  // reads to the end marker
  return true;
}

// PIL takes every CMYK JPEG for an inverted one, as Adobe writes them.
void CmykToRgb(const uint8_t* cmyk, size_t pixels, uint8_t* rgb) {
  for (size_t i = 0; i < pixels; ++i) {
    const int black = cmyk[4 * i + 3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - cmyk[4 * i + c]) * black + 128;
      rgb[3 * i + c] = black - ((product + (product >> 8)) >> 8);  // product / 255, rounded
    }
  }
}

void GreyToRgb(const uint8_t* grey, size_t pixels, uint8_t* rgb) {
  for (size_t i = 0; i < pixels; ++i) {
    rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = grey[i];
  }
}

}  // namespace

absl::StatusOr<Image> DecodeJpeg(absl::string_view bytes) {
  Decoder decoder = {};
  decoder.info.err = jpeg_std_error(&decoder.errors);
  decoder.info.client_data = &decoder;
  decoder.errors.error_exit = [](j_common_ptr info) { Fail(info); };
  decoder.errors.emit_message = FailOnCorruption;
  decoder.progress.progress_monitor = LimitScans;
  absl::Cleanup destroyer = [&decoder] { jpeg_destroy_decompress(&decoder.info); };
  const auto failure = [&decoder] {
    return absl::InvalidArgumentError(absl::StrCat("broken JPEG: ", decoder.message));
  };

  if (!ReadHeader(&decoder, bytes)) {
    return failure();
  }
  Image image;
  image.width = decoder.info.image_width;
  image.height = decoder.info.image_height;
  RETURN_IF_ERROR(CheckImageSize(image.width, image.height));
  const int components = decoder.info.num_components;
  if (components != 1 && components != 3 && components != 4) {
    return absl::InvalidArgumentError(
        absl::StrCat("JPEG with ", components, " components; 1, 3 or 4 are supported"));
  }
  if (!MayHoldAllBlocks(decoder.info, bytes.size())) {
    return absl::InvalidArgumentError(absl::StrCat("broken JPEG: ", bytes.size(),
                                                   " bytes cannot hold ", image.width, " x ",
                                                   image.height, " pixels"));
  }
  RowBuffer rows(size_t(components) * image.width, image.height);
  const J_COLOR_SPACE colors =
      components == 1 ? JCS_GRAYSCALE : (components == 3 ? JCS_RGB : JCS_CMYK);
  if (!ReadRows(&decoder, colors, &rows)) {
    return failure();
  }
  std::vector<uint8_t> samples = std::move(rows).Take();
  if (components == 3) {
    image.rgb = std::move(samples);
    return image;
  }
  const size_t pixels = samples.size() / components;
  image.rgb.resize(3 * pixels);
  (components == 1 ? GreyToRgb : CmykToRgb)(samples.data(), pixels, image.rgb.data());
  return image;
}

}  // namespace bitquake
