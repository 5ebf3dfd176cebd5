#include "server/store/row_digest.h"

#include <sqlite3.h>

#include <cstdint>

#include "absl/strings/string_view.h"
#include "common/base/digest.h"

namespace bitquake {
namespace {

void RowDigest(sqlite3_context* context, int count, sqlite3_value** values) {
  Xxh3 digest;
  for (int i = 0; i < count; ++i) {
    const int type = sqlite3_value_type(values[i]);
    digest.UpdateValue(type);
    switch (type) {
      case SQLITE_INTEGER:
        digest.UpdateValue(sqlite3_value_int64(values[i]));
        break;
      case SQLITE_FLOAT:
        digest.UpdateValue(sqlite3_value_double(values[i]));
        break;
      case SQLITE_TEXT:
      case SQLITE_BLOB: {
        const auto* bytes = static_cast<const char*>(sqlite3_value_blob(values[i]));
        const auto size = static_cast<size_t>(sqlite3_value_bytes(values[i]));
        digest.UpdateText(absl::string_view(bytes, size));
        break;
      }
      default:
        break;
    }
  }
  sqlite3_result_int64(context, static_cast<int64_t>(digest.First64()));
}

}  // namespace

int AddRowDigest(sqlite3* handle) {
  return sqlite3_create_function_v2(handle, "row_digest", -1,
                                    SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, nullptr,
                                    &RowDigest, nullptr, nullptr, nullptr);
}

}  // namespace bitquake
