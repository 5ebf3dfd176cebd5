// libpng reports errors by longjmp: nothing in this file that a jump passes over owns memory.
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/image_codecs.h"

namespace bitquake {
namespace {

struct Decoder {
  const char* next;
  size_t left;
  char message[128];
  png_structp png;
  png_infop info;
};

[[noreturn]] void Fail(png_structp png, const char* message) {
  auto* decoder = static_cast<Decoder*>(png_get_error_ptr(png));
  std::snprintf(decoder->message, sizeof(decoder->message), "%s", message);
  png_longjmp(png, 1);
}

void IgnoreWarning(png_structp, const char*) {}

void Read(png_structp png, png_bytep out, size_t size) {
  auto* decoder = static_cast<Decoder*>(png_get_io_ptr(png));
  if (size > decoder->left) {
    png_error(png, "the file is truncated");
  }
  std::memcpy(out, decoder->next, size);
  decoder->next += size;
  decoder->left -= size;
}

bool ReadHeader(Decoder* decoder) {
  if (setjmp(png_jmpbuf(decoder->png)) != 0) {
    return false;
  }
  png_set_read_fn(decoder->png, decoder, Read);
  png_set_crc_action(decoder->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_set_user_limits(decoder->png, kMaxImagePixels, kMaxImagePixels);
  png_read_info(decoder->png, decoder->info);
  return true;
}

bool IsPalette(const Decoder& decoder) {
  return png_get_color_type(decoder.png, decoder.info) == PNG_COLOR_TYPE_PALETTE;
}

// Palette indices in bytes, or RGB as PIL has it: no gamma, alpha and transparent colours dropped,
// the high byte of 16-bit samples. Rows that would come out in another size than `stride` fail.
bool AskForBytes(Decoder* decoder, size_t stride) {
  if (setjmp(png_jmpbuf(decoder->png)) != 0) {
    return false;
  }
  png_set_benign_errors(decoder->png, 0);  // too much or too little data
  png_set_strip_16(decoder->png);
  if (IsPalette(*decoder)) {
    png_set_packing(decoder->png);
  } else {
    png_set_expand_gray_1_2_4_to_8(decoder->png);
    png_set_gray_to_rgb(decoder->png);
    png_set_strip_alpha(decoder->png);
  }
  png_set_interlace_handling(decoder->png);
  png_read_update_info(decoder->png, decoder->info);
  if (png_get_rowbytes(decoder->png, decoder->info) != stride) {
    png_error(decoder->png, "rows of an unexpected size");
  }
  return true;
}

bool ReadRows(Decoder* decoder, RowBuffer* rows, int height, int passes) {
  if (setjmp(png_jmpbuf(decoder->png)) != 0) {
    return false;
  }
  for (int pass = 0; pass < passes; ++pass) {
    for (int y = 0; y < height; ++y) {
      png_read_row(decoder->png, rows->Row(y), nullptr);
    }
  }
  png_read_end(decoder->png, decoder->info);
  return true;
}

// False if an index has no entry in the palette, which libpng itself lets pass as black.
bool LookUp(const Decoder& decoder, const std::vector<uint8_t>& indices, uint8_t* rgb) {
  png_colorp palette = nullptr;
  int entries = 0;
  png_get_PLTE(decoder.png, decoder.info, &palette, &entries);
  for (const int index : indices) {
    if (index >= entries) {
      return false;
    }
    *rgb++ = palette[index].red;
    *rgb++ = palette[index].green;
    *rgb++ = palette[index].blue;
  }
  return true;
}

}  // namespace

absl::StatusOr<Image> DecodePng(absl::string_view bytes) {
  Decoder decoder = {bytes.data(), bytes.size(), {}, nullptr, nullptr};
  decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, Fail, IgnoreWarning);
  absl::Cleanup destroyer = [&decoder] {
    png_destroy_read_struct(&decoder.png, &decoder.info, nullptr);
  };
  if (decoder.png == nullptr || (decoder.info = png_create_info_struct(decoder.png)) == nullptr) {
    return absl::ResourceExhaustedError("libpng could not start: out of memory");
  }
  const auto failure = [&decoder] {
    return absl::InvalidArgumentError(absl::StrCat("broken PNG: ", decoder.message));
  };

  if (!ReadHeader(&decoder)) {
    return failure();
  }
  Image image;
  image.width = png_get_image_width(decoder.png, decoder.info);
  image.height = png_get_image_height(decoder.png, decoder.info);
  RETURN_IF_ERROR(CheckImageSize(image.width, image.height));
  if (png_get_color_type(decoder.png, decoder.info) == PNG_COLOR_TYPE_GRAY &&
      png_get_bit_depth(decoder.png, decoder.info) == 16) {
    return absl::InvalidArgumentError(
        "PNG in 16-bit grey, of which PIL keeps only values below 256 and whitens the rest; store "
        "it in 8 bits");
  }
  const bool is_palette = IsPalette(decoder);
  const size_t stride = size_t(image.width) * (is_palette ? 1 : 3);
  RowBuffer buffer(stride, image.height);
  if (!AskForBytes(&decoder, stride) ||
      !ReadRows(&decoder, &buffer, image.height,
                png_get_interlace_type(decoder.png, decoder.info) == PNG_INTERLACE_NONE
                    ? 1
                    : PNG_INTERLACE_ADAM7_PASSES)) {
    return failure();
  }
  std::vector<uint8_t> rows = std::move(buffer).Take();
  if (!is_palette) {
    image.rgb = std::move(rows);
    return image;
  }
  image.rgb.resize(3 * rows.size());
  if (!LookUp(decoder, rows, image.rgb.data())) {
    return absl::InvalidArgumentError("broken PNG: a pixel's index lies beyond the palette");
  }
  return image;
}

}  // namespace bitquake
