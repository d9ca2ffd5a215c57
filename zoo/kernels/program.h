// A network for inference as one program: its steps are made once for its weights, and then run on buffers that are
// kept. A group of images passes several steps on one thread while it is in the second-level cache: few images where
// they have many pixels, and more of them where weights are many and pixels few. Where there are fewer images than
// threads, the threads share every step.
//
// A program is written in words, by zoo/graph/passes/programs.py. Values are numbered: 0 is the input, i what the i-th
// step puts out.
//
//     program   LANES DTYPE value ... ; step ...
//     value     channels, height, width, whether it is thin, border height, border width     (see images.h)
//     step      convolution VALUE WEIGHT GEOMETRY stage ... ;
//               max VALUE GEOMETRY stage ... ;                    and mean likewise
//               sum VALUE VALUE stage ... ;
//               pass VALUE stage ... ;
//     stage     bias B | norm GAMMA BETA MEAN VARIANCE EPSILON | times X | plus X | tanh | relu
//     GEOMETRY  kernel height, kernel width, stride height, stride width, pad height, pad width
//
// LANES are "channels", "images" or "any" (see images.h). DTYPE is "float32", or "bfloat16" for layers that AMX
// computes faster. WEIGHT, B, GAMMA ... are numbers of parameters; GAMMA is -1 where it is 1 for all channels.

#pragma once

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "groups.h"
#include "pools.h"
#include "rounded.h"

namespace zoo::program {

static const pid_t kProcess = getpid();  // that loaded this library

constexpr double kWorthAThread = 30;  // microseconds

// A program in both ways, or in one of them if that is asked for, or faster even for a whole stack.
template <class Made>
class Ways {
 public:
  template <class Make>
  Ways(const std::string& text, const Make& make) {
    const size_t end = text.find(' ');
    const std::string lanes = text.substr(0, end), words = text.substr(end);
    if (lanes != "images") plain_ = make(words, Lanes::channels);
    if (lanes != "channels") stacked_ = make(words, Lanes::images);
    if (plain_ && stacked_ && stacked_->cycles(kLanes) > plain_->cycles(kLanes)) stacked_.reset();
  }

  // The faster one for so many images.
  Made& of(int64_t images) const {
    const bool is_plain = !stacked_ || (plain_ && plain_->cycles(images) <= stacked_->cycles(images));
    return is_plain ? *plain_ : *stacked_;
  }
  Made& with(Lanes lanes) const { return lanes == Lanes::images ? *stacked_ : *plain_; }

 private:
  std::unique_ptr<Made> plain_, stacked_;
};

// Images and what comes out of them, as MXNet has them.
struct Batch {
  const float* in;
  int64_t images;
  float* out;
};

// The program on images that lie in one of the two ways. What is called an image is a stack of them in the second one.
class Pipeline {
 public:
  Pipeline(const std::string& text, const std::vector<const float*>& parameters, Lanes lanes) : lanes_(lanes) {
    std::istringstream words(text);
    std::string dtype;
    words >> dtype;
    may_round_ = dtype == "bfloat16";
    read_values(words);
    for (std::string kind; words >> kind;) read_step(kind, words, parameters);
    choose_groups();
    for (Value& value : values_) {
      value.place = size_;
      size_ += round_up(value.layout.image() * value.images, 16);
    }
  }

  const Layout& input() const { return values_.front().layout; }
  const Layout& output() const { return values_.back().layout; }

  // About, on one thread, for so many images as MXNet has them.
  double cycles(int64_t images) const { return cycles_ * double(stacks(images)); }

  void run(const Batch& batch, int most_threads) {
    const int64_t count = stacks(batch.images);
    const double microseconds = cycles_ * double(count) / 3000;
    const int threads = int(std::clamp(microseconds / kWorthAThread, 1.0, double(most_threads)));
    if (count < threads && count <= most_at_once_) {
      const Lease lease(*this);
      parallel(threads, [&](const Share& share) { run(lease.memory(), {0, count}, batch, share); });
    } else if (threads == 1) {
      const Lease lease(*this);
      for (const Group& group : groups_of(count, most_at_once_)) run(lease.memory(), group, batch, {});
    } else {
      const std::vector<Group> groups = groups_of(count, most_at_once_, threads, 8 / input().stack());
      Queue queue(int64_t(groups.size()));
      parallel(threads, [&](const Share&) {
        const Lease lease(*this);
        queue.each([&](int64_t number) { run(lease.memory(), groups[number], batch, {}); });
      });
    }
  }

 private:
  struct Value {
    Layout layout;
    int64_t images = 1;  // that its buffer holds
    int64_t place = 0;   // of the buffer
  };
  struct Numbered {
    std::unique_ptr<Step> step;  // none for the input, which step 0 brings into its layout
    std::vector<size_t> values;  // that it reads
    int64_t images = 1;          // at once
  };

  // Buffers for a group of images. Their borders are zeros, and stay so.
  class Lease {
   public:
    explicit Lease(Pipeline& program) : program_(program) {
      const std::lock_guard<std::mutex> lock(program_.mutex_);
      if (program_.free_.empty()) {
        memory_.resize(program_.size_ / 16);
      } else {
        memory_ = std::move(program_.free_.back());
        program_.free_.pop_back();
      }
    }
    ~Lease() {
      const std::lock_guard<std::mutex> lock(program_.mutex_);
      program_.free_.push_back(std::move(memory_));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    float* memory() const { return const_cast<float*>(memory_.data()->values); }

   private:
    Pipeline& program_;
    std::vector<Line> memory_;
  };

  void read_values(std::istringstream& words) {
    for (std::string word; words >> word && word != ";";) {
      Layout layout{std::stol(word), 0, 0};
      words >> layout.height >> layout.width >> layout.is_thin >> layout.border_height >> layout.border_width;
      layout.lanes = lanes_;
      layout.is_thin &= !layout.is_stacked();
      values_.push_back({layout});
    }
    steps_.emplace_back();
  }

  void read_step(const std::string& kind, std::istringstream& words, const std::vector<const float*>& parameters) {
    const Layout& out = values_[steps_.size()].layout;
    std::vector<size_t> values(kind == "sum" ? 2 : 1);
    for (size_t& value : values) words >> value;
    size_t weight = 0;
    Geometry geometry{};
    if (kind == "convolution") words >> weight;
    if (kind != "sum" && kind != "pass")
      words >> geometry.kernel_height >> geometry.kernel_width >> geometry.stride_height >> geometry.stride_width >>
          geometry.pad_height >> geometry.pad_width;
    Stages stages = read_stages(out.channels, words, parameters);
    std::unique_ptr<Step> step;
    if (kind == "convolution") {
      const Layout& in = values_[values[0]].layout;
      auto layer = fastest_convolution(in, out, geometry, stages, may_round_);
      layer->pack(parameters[weight], {});
      step = std::move(layer);
    } else if (kind == "max" || kind == "mean")
      step = std::make_unique<Pooling>(out, geometry, kind == "max", std::move(stages));
    else
      step = std::make_unique<Elementwise>(out, std::move(stages));
    cycles_ += step->cycles_per_image();
    steps_.push_back({std::move(step), std::move(values)});
  }

  Stages read_stages(int64_t channels, std::istringstream& words, const std::vector<const float*>& parameters) const {
    Stages stages(channels, may_round_ && steps_.size() + 1 < values_.size());
    for (std::string word; words >> word && word != ";";) {
      if (word == "tanh" || word == "relu") {
        stages.activate(word == "tanh" ? Activation::tanh : Activation::relu);
      } else if (word == "bias") {
        size_t bias;
        words >> bias;
        for (int64_t c = 0; c < channels; ++c) stages.shift(c, parameters[bias][c]);
      } else if (word == "norm") {
        int64_t gamma;
        size_t beta, mean, variance;
        float epsilon;
        words >> gamma >> beta >> mean >> variance >> epsilon;
        for (int64_t c = 0; c < channels; ++c) {
          stages.shift(c, -parameters[mean][c]);
          stages.scale(c, (gamma < 0 ? 1.0f : parameters[gamma][c]) / std::sqrt(parameters[variance][c] + epsilon));
          stages.shift(c, parameters[beta][c]);
        }
      } else {
        double number;
        words >> number;
        for (int64_t c = 0; c < channels; ++c)
          word == "times" ? stages.scale(c, float(number)) : stages.shift(c, float(number));
      }
    }
    return stages;
  }

  // So many images at once that what a step reads and writes fills half of the second-level cache, no more than 32.
  // A buffer holds as many as any step takes from the one that writes it to the last one that reads it.
  void choose_groups() {
    for (size_t i = 0; i < steps_.size(); ++i) {
      int64_t bytes = 4 * values_[i].layout.image();
      for (const size_t value : steps_[i].values) bytes += 4 * values_[value].layout.image();
      while (steps_[i].images < 32 && 2 * steps_[i].images * bytes <= half_a_cache()) steps_[i].images *= 2;
      most_at_once_ = std::max(most_at_once_, steps_[i].images);
    }
    if (steps_.size() > 1) steps_[0].images = steps_[1].images;
    std::vector<size_t> last(steps_.size());
    for (size_t i = 0; i < steps_.size(); ++i) {
      last[i] = i;
      for (const size_t value : steps_[i].values) last[value] = i;
    }
    last.back() = steps_.size();
    for (size_t i = 0; i < steps_.size(); ++i)
      for (size_t step = i; step <= last[i]; ++step)
        values_[i].images = std::max(values_[i].images, step < steps_.size() ? steps_[step].images : most_at_once_);
  }

  int64_t stacks(int64_t images) const { return (images - 1) / input().stack() + 1; }

  // The images of the batch that a group of stacks has: the last stack may lack some.
  Batch part(const Batch& batch, const Group& group) const {
    const int64_t first = group.first * input().stack();
    return {batch.in + first * input().size(), std::min(group.images * input().stack(), batch.images - first),
            batch.out + first * output().size()};
  }

  // The value for images from number `first` of the batch on.
  Images value(float* memory, size_t index, int64_t first, const Batch& batch) const {
    const Value& value = values_[index];
    if (index == 0 && value.layout.is_plain())
      return {&value.layout, const_cast<float*>(batch.in) + first * value.layout.image()};
    return Images{&value.layout, memory + value.place}.from(first % value.images);
  }

  void run(float* memory, const Group& group, const Batch& batch, const Share& share) const {
    in_groups(
        0, steps_.size(), group, [&](size_t i) { return steps_[i].images; },
        [&](size_t i, const Group& images) {
          run_step(i, memory, images, batch, share);
          if (share.parts > 1) barrier();
        });
    if (share.part > 0) return;
    const Batch given = part(batch, group);
    leave(value(memory, steps_.size() - 1, group.first, batch), given.images, given.out);
  }

  void run_step(size_t number, float* memory, const Group& group, const Batch& batch, const Share& share) const {
    const Images to = value(memory, number, group.first, batch);
    if (number == 0) {
      const Batch given = part(batch, group);
      if (!input().is_plain() && share.part == 0) enter(given.in, given.images, to);
      return;
    }
    std::vector<Images> from;
    for (const size_t each : steps_[number].values) from.push_back(value(memory, each, group.first, batch));
    steps_[number].step->run(from, group.images, to, share);
  }

  Lanes lanes_;
  bool may_round_ = false;  // to bfloat16
  std::vector<Value> values_;
  std::vector<Numbered> steps_;  // each puts out the value of its number
  int64_t most_at_once_ = 1;     // images
  double cycles_ = 0;            // of an image
  int64_t size_ = 0;             // of the buffers
  std::mutex mutex_;
  std::vector<std::vector<Line>> free_;
};

// The program in whichever of the two ways is faster for a batch, or in both: the second one wastes no lanes on
// channels that there are not, but it wastes those of images that a stack lacks.
class Program {
 public:
  Program(const std::string& text, const std::vector<const float*>& parameters)
      : ways_(text, [&](const std::string& words, Lanes lanes) {
          return std::make_unique<Pipeline>(words, parameters, lanes);
        }) {}

  // `images` as MXNet has them, on at most so many threads. May be called by several threads at once.
  void run(const float* in, int64_t images, float* out, int most_threads) {
    if (getpid() != kProcess) most_threads = 1;  // OpenMP's threads do not survive a fork, and it would wait for them
    const int64_t whole = images / kLanes * kLanes, rest = images - whole;
    if (whole > 0 && rest > 0 && &ways_.of(whole) != &ways_.of(rest)) {
      const Layout &taken = ways_.of(rest).input(), &given = ways_.of(rest).output();
      ways_.of(whole).run({in, whole, out}, most_threads);
      ways_.of(rest).run({in + whole * taken.size(), rest, out + whole * given.size()}, most_threads);
    } else {
      ways_.of(images).run({in, images, out}, most_threads);
    }
  }

 private:
  Ways<Pipeline> ways_;
};

}  // namespace zoo::program
