// A campaign's progress as one line of a given width.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/api/client.h"

namespace bitquake {

// "demo  93/150 62%  1234 images/s  3m05s left  2 workers  worst blocks.3 at 3.0e-02 +-2.41 pp", in
// at most `width` columns: what matters least is shortened, then left out, first. `age`: time since
// the status was true, which the time left is less by. `colour`: with ANSI escapes, which take no
// column.
std::string ProgressText(const CampaignStatus& status, absl::Duration age, size_t width,
                         bool colour);

// At most `width` columns of a text, "..." at the end of what is longer; control characters become
// spaces. A character counts as one column.
std::string FitText(absl::string_view text, size_t width);

}  // namespace bitquake
