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

inline std::vector<Group> groups_of(int64_t images, int64_t most, int threads = 1, int64_t few = 8) {
  const int64_t least = std::min<int64_t>(images / threads, few);
  std::vector<Group> groups;
  for (int64_t first = 0, size = most; first < images; first += size) {
    const int64_t left = images - first, fair = threads > 1 ? std::max(left / (2 * threads), least) : left;
    while (size > 1 && size > std::min(left, fair)) size /= 2;
    groups.push_back({first, size});
  }
  return groups;
}

// Performs `count` steps in their order, for each group of images that passes them together. A step may take fewer
// images at once than others, and then those around it, too: its neighbours that also take fewer than `group` has.
template <class AtOnce, class Perform>
void in_groups(size_t first, size_t end, const Group& group, const AtOnce& at_once, const Perform& perform) {
  for (size_t i = first, next; i < end && group.images > 0; i = next) {
    next = i + 1;
    if (at_once(i) >= group.images) {
      perform(i, group);
      continue;
    }
    int64_t most = at_once(i);
    for (; next < end && at_once(next) < group.images; ++next) most = std::max(most, at_once(next));
    for (const Group& part : groups_of(group.images, most))
      in_groups(i, next, {group.first + part.first, part.images}, at_once, perform);
  }
}

}  // namespace zoo
