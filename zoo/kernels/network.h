// A run of convolutions and what lies between them, for inference: a group of images passes all layers while it is in
// the second-level cache, on one thread, without a trip through MXNet.

#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "layout.h"
#include "product.h"

namespace zoo {

// Packed weights of a network that is not being trained. An array is known by where it lies, by its version,
// and by a sample of its values, since memory is used again.
class PackedWeights {
 public:
  using Pointer = std::shared_ptr<const Lines>;

  static Pointer get(const Plan& plan, const float* weight, size_t version) {
    static PackedWeights cache;
    const int64_t taps = plan.conv.taps(), size = plan.conv.out * plan.conv.in * taps;
    uint64_t print = 14695981039346656037u ^ version;  // FNV-1a
    for (int64_t i = 0; i < size; i += std::max<int64_t>(1, size / 256)) {
      uint32_t bits;
      std::memcpy(&bits, weight + i, 4);
      print = (print ^ bits) * 1099511628211u;
    }
    const std::lock_guard<std::mutex> lock(cache.mutex_);
    if (cache.entries_.size() > 1000) cache.entries_.clear();
    auto& entry = cache.entries_[{weight, size, plan.unfolded ? -taps : taps}];
    if (!entry.second || entry.first != print) entry = {print, std::make_shared<const Lines>(pack(plan, weight))};
    return entry.second;
  }

 private:
  std::mutex mutex_;
  std::map<std::tuple<const float*, int64_t, int64_t>, std::pair<uint64_t, Pointer>> entries_;
};

struct Layer {
  Plan plan;
  Finish finish;
  PackedWeights::Pointer weights;

  int64_t out_height() const { return plan.conv.out_height() / (finish.pool ? 2 : 1); }
  int64_t out_width() const { return plan.conv.out_width() / (finish.pool ? 2 : 1); }
  int64_t pixels() const { return out_height() * out_width(); }
};

template <class T>
class Network {
 public:
  Network(const std::vector<Layer>& layers, const T* data, T* out) : layers_(layers), data_(data), out_(out) {}

  void run() const {
    const Layer& last = layers_.back();
    double nanoseconds = 0;
    for (const Layer& layer : layers_) nanoseconds += layer.plan.nanoseconds();
    const int threads = threads_for(nanoseconds);
    const std::vector<Group> groups = groups_of(last.plan.conv.images, last.plan.at_once(), threads);
    Queue queue(int64_t(groups.size()));
    parallel(threads, [&](const Share&) {
      const Tiles tiles;
      queue.each([&](int64_t number) {
        const Group& group = groups[number];
        const int64_t size = group.images * last.pixels() * last.plan.outputs, outputs = last.plan.conv.out;
        bfloat16* result = scratch<Network, Line>(size / kBlock + lines(group.images))->values;
        const Place place{result, last.out_width(), last.plan.outputs, group.images, 0, 0, 0};
        run(layers_.size() - 1, group, place, result + size);
        leave(result, group.images, group.images, outputs, last.pixels(), out_ + group.first * outputs * last.pixels());
      });
    });
  }

 private:
  // Of the inputs of all layers.
  int64_t lines(int64_t images) const {
    int64_t lines = 0;
    for (size_t layer = layers_.size(); layer-- > 0;) {
      images = std::min(images, layers_[layer].plan.at_once());
      lines += layers_[layer].plan.lines(images);
    }
    return lines;
  }

  // The output of a layer for a group; the layers before it may work on fewer images at once.
  void run(size_t index, const Group& group, Place out, bfloat16* memory) const {
    const Layer& layer = layers_[index];
    const Plan& plan = layer.plan;
    const Convolution& conv = plan.conv;
    for (const Group& part : groups_of(group.images, plan.at_once())) {
      const int64_t first = group.first + part.first;
      bfloat16* const rest = memory + plan.lines(part.images) * kBlock;
      if (plan.has_border()) std::fill(memory, rest, bfloat16{0});
      if (index == 0) {
        enter(plan, data_ + first * conv.in * conv.height * conv.width, part.images, part.images, memory);
      } else {
        const Place place{memory, plan.width, plan.depth, part.images, conv.pad_height, conv.pad_width, 0};
        run(index - 1, {first, part.images}, place, rest);
      }
      Place place = out;
      place.slot += part.first;
      convolve(plan, *layer.weights, layer.finish, memory, part.images, place);
    }
  }

  const std::vector<Layer>& layers_;
  const T* const data_;
  T* const out_;
};

}  // namespace zoo
