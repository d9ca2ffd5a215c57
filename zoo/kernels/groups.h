// A batch in pieces.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace zoo {

// A batch in groups: powers of two, so that positions fill blocks, and smaller towards the end, so that threads
// finish together.
struct Group {
  int64_t first, images;
};

inline std::vector<Group> groups_of(int64_t images, int64_t most, int threads = 1) {
  const int64_t least = std::min<int64_t>(images / threads, 8);
  std::vector<Group> groups;
  for (int64_t first = 0, size = most; first < images; first += size) {
    const int64_t left = images - first, fair = threads > 1 ? std::max(left / (2 * threads), least) : left;
    while (size > 1 && size > std::min(left, fair)) size /= 2;
    groups.push_back({first, size});
  }
  return groups;
}

}  // namespace zoo
