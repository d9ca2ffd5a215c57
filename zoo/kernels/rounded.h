// Convolutions and fully connected layers of a program in bfloat16 on AMX. Their values are float32 in memory, as they
// are between other steps: a layer rounds what it reads, and adds up in float32.
//
// A group of images is read as plan.h has it, with pixels of several images side by side, so that small images fill
// the tiles, too.

#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "winograd.h"

#ifdef __AMX_BF16__
#include "pack.h"

namespace zoo::program {

class Rounded : public Layer {
 public:
  Rounded(const Layout& in, const Layout& out, const Geometry& geometry, Stages stages)
      : in_(in), out_(out), stages_(std::move(stages)), plan_(convolution_of(in, out, geometry)) {
    if (plan_.unfolded)
      for (int64_t c = 0; c < in.channels; ++c)
        for (int64_t tap = 0; tap < geometry.taps(); ++tap)
          window_.push_back(
              int32_t(tap / geometry.kernel_width * in.row() + tap % geometry.kernel_width * in.pixel() + c));
    is_run_ = !window_.empty() && window_.back() == int64_t(window_.size()) - 1;
  }

  void pack(const float* weight, const Share&) override { weight_ = zoo::pack(plan_, weight); }
  void start(const float* summands) override { stages_.start(summands); }
  bool reads_border() const override { return true; }

  double cycles_per_image() const override {
    const double blocks = double(out_.height * out_.width) / kBlock * double(plan_.outputs / kBlock);
    const double lines = double(plan_.height * plan_.width * plan_.depth) / kBlock;
    const double gathered = is_run_ ? 0.0 : double(plan_.height * plan_.width) * double(window_.size());
    return 500 + blocks * (80.0 * double(plan_.steps()) + 500) + 6.0 * lines + gathered;
  }

  // Threads share the pieces of the output, and read all of the input.
  void run(const std::vector<Images>& in, int64_t count, const Images& out, const Share& share) const override {
    bfloat16* const group = scratch<Rounded, zoo::Line>(plan_.lines(count))->values;
    plan_.unfolded ? unfold(in[0], count, group) : round(in[0], count, group);
    const std::vector<int64_t> offsets = plan_.offsets(count);
    const Strips layout = plan_.strips(count, false);
    const int64_t blocks = plan_.outputs / kBlock, units = int64_t(layout.strips.size()) * blocks;
    const Tiles tiles;
    settle(group);
    for (int64_t unit = share.first(units), end = share.last(units); unit < end; ++unit)
      compute(layout, layout.strips[unit / blocks], unit % blocks * kBlock, offsets, group, count, out);
  }

 private:
  static Convolution convolution_of(const Layout& in, const Layout& out, const Geometry& geometry) {
    return {1,
            in.channels,
            in.height,
            in.width,
            out.channels,
            geometry.kernel_height,
            geometry.kernel_width,
            geometry.pad_height,
            geometry.pad_width,
            Activation::none};
  }

  // Where the line of a pixel of the padded input, or of the unfolded one, begins.
  bfloat16* line(bfloat16* group, int64_t count, int64_t n, int64_t y, int64_t x) const {
    return group + ((y * plan_.width + x) * count + n) * plan_.depth;
  }
  // The value of the input that the first tap sees there.
  const float* from(const Images& in, int64_t n, int64_t y, int64_t x) const {
    return in.at(n, y - plan_.conv.pad_height, x - plan_.conv.pad_width);
  }

  void round(const Images& in, int64_t count, bfloat16* group) const {
    const int64_t pixel = in_.pixel();
    for (int64_t n = 0; n < count; ++n)
      for (int64_t y = 0; y < plan_.height; ++y)
        for (int64_t x = 0; x < plan_.width; ++x) {
          const float* const values = from(in, n, y, x);
          bfloat16* const to = line(group, count, n, y, x);
          if (in_.is_thin) {
            for (int64_t c = 0; c < plan_.depth; ++c) narrow(c ? 0.0f : values[0], to + c);
            continue;
          }
          for (int64_t c = 0; c < plan_.depth; c += kBlock) store_rounded(values + c, pixel - c, to + c);
        }
  }

  // The values of all taps side by side, for each pixel of the output.
  void unfold(const Images& in, int64_t count, bfloat16* group) const {
    float* const gathered = scratch<Rounded, Line>(plan_.depth / 16)->values;
    std::fill_n(gathered, plan_.depth, 0.0f);
    for (int64_t n = 0; n < count; ++n)
      for (int64_t y = 0; y < plan_.height; ++y)
        for (int64_t x = 0; x < plan_.width; ++x) {
          const float* const values = from(in, n, y, x);
          if (is_run_)
            std::copy_n(values, window_.size(), gathered);
          else
            for (size_t i = 0; i < window_.size(); ++i) gathered[i] = values[window_[i]];
          bfloat16* const to = line(group, count, n, y, x);
          for (int64_t i = 0; i < plan_.depth; i += kBlock) store_rounded(gathered + i, plan_.depth - i, to + i);
        }
  }

  static void store_rounded(const float* from, int64_t left, bfloat16* to) {
    const __m512 lower = _mm512_loadu_ps(from);
    const __m512 upper = left > kLanes ? _mm512_loadu_ps(from + kLanes) : _mm512_setzero_ps();
    _mm512_store_si512(to, (__m512i)_mm512_cvtne2ps_pbh(upper, lower));
  }

  // The outputs from `output` on of a piece of the output.
  void compute(const Strips& layout, const Strip& strip, int64_t output, const std::vector<int64_t>& offsets,
               const bfloat16* group, int64_t count, const Images& out) const {
    const int64_t pitch = layout.pitch, runs = layout.joined ? 1 : strip.rows;
    const int64_t length = (layout.joined ? (strip.rows - 1) * pitch : 0) + strip.columns * count;
    auto* const sums = reinterpret_cast<float*>(scratch<Strips, zoo::Line>(((runs - 1) * pitch + length + kBlock) * 2));
    const bfloat16* const weight = weight_[output * plan_.steps()].values;
    for (int64_t run = 0; run < runs; ++run) {
      const bfloat16* const a = group + ((strip.y + run) * plan_.width + strip.x) * count * plan_.depth;
      for (int64_t p = 0; p < length; p += kBlock)
        multiply(a + p * plan_.depth, plan_.depth, offsets, weight, sums + (run * pitch + p) * kBlock,
                 length - p <= 16);
    }
    settle(sums);
    for (int64_t y = 0; y < strip.rows; ++y)
      for (int64_t half = 0; half < kBlock && output + half < out_.pixel(); half += kLanes)
        finish(sums + y * pitch * kBlock + half, strip, strip.y + y, output + half, count, out);
  }

  // A row of sixteen outputs, several pixels at a time.
  void finish(const float* sums, const Strip& strip, int64_t y, int64_t output, int64_t count,
              const Images& out) const {
    constexpr int most = 8;
    const Vector scale = load(&stages_.first().scale[output]), shift = load(&stages_.first().shift[output]);
    for (int64_t n = 0; n < count; ++n) {
      const float* from = sums + n * kBlock;
      float* to = out.at(n, y, strip.x) + output;
      for (int64_t x = 0; x < strip.columns; x += most) {
        const int pixels = int(std::min<int64_t>(most, strip.columns - x));
        Vector values[most];
        for (int p = 0; p < pixels; ++p, from += count * kBlock) values[p] = load(from) * scale + shift;
        stages_.finish(out_, values, pixels, 1, output / kLanes);
        for (int p = 0; p < pixels; ++p, to += out_.pixel()) store(to, values[p]);
      }
    }
  }

  Layout in_, out_;
  Stages stages_;
  zoo::Plan plan_;
  std::vector<int32_t> window_;  // unfolded: where the values lie that a pixel sees, in the order of the weights
  bool is_run_;                  // side by side
  Lines weight_;
};

}  // namespace zoo::program

#endif

namespace zoo::program {

// Whatever takes the fewest cycles, in bfloat16 if that is allowed.
inline std::unique_ptr<Layer> fastest_convolution(const Layout& in, const Layout& out, const Geometry& geometry,
                                                  const Stages& stages, [[maybe_unused]] bool may_round) {
  const Places places = Places::forward(in.lanes, out.channels, in.channels, geometry.taps());
  std::unique_ptr<Layer> best = convolution(in, out, geometry, places, stages);
#ifdef __AMX_BF16__
  const bool is_strided = geometry.stride_height != 1 || geometry.stride_width != 1;
  if (!may_round || in.is_stacked() || is_strided) return best;
  auto rounded = std::make_unique<Rounded>(in, out, geometry, stages);
  if (rounded->cycles_per_image() < best->cycles_per_image()) best = std::move(rounded);
#endif
  return best;
}

}  // namespace zoo::program
