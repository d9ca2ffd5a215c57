// A network in training as one program: forward for a batch, and backward from the gradient of what came out. What the
// backward pass needs is kept on a tape. Threads share the images of a batch. Each takes a group of them from step to
// step while they are in the second-level cache, as far as BatchNorm, which has to see the whole batch first.

#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "groups.h"
#include "program.h"
#include "training_plan.h"

namespace zoo::program {

// What is kept of a batch between its passes, and their buffers.
struct Tape {
  Lanes lanes = Lanes::channels;
  int64_t images = 0, count = 0;  // the latter in stacks, where there are any
  int parts = 1;                  // threads that share them
  Key key{};                      // of its Dropout
  std::vector<Line> memory;
  std::vector<float> norms;
  std::vector<double> sums;                 // of each part
  std::vector<std::vector<float>> weights;  // of each part, the gradients of weights
};

// The arrays of a call, as MXNet has them.
struct Arrays {
  const float* in;
  std::vector<float*> parameters;
  float* out = nullptr;                     // forward
  const float* out_gradient = nullptr;      // backward
  float* in_gradient = nullptr;             // backward, if the program returns it
  std::vector<float*> parameter_gradients;  // backward
};

class Training {
 public:
  Training(const std::string& text, Lanes lanes) : plan_(text, lanes) { list_actions(); }

  const Layout& output() const { return plan_.values.back().layout; }
  int parameters() const { return plan_.parameters; }
  // About, on one thread, for so many images.
  double cycles(int64_t images) const { return plan_.all_cycles * double(stacks(images)); }

  // May change the parameters of BatchNorm that are not trained.
  std::unique_ptr<Tape> forward(const Arrays& arrays, int64_t images, Key key, int most_threads) {
    if (getpid() != kProcess) most_threads = 1;  // OpenMP's threads do not survive a fork, and it would wait for them
    const std::lock_guard<std::mutex> lock(mutex_);
    std::unique_ptr<Tape> tape = lease(images, most_threads);
    tape->key = key;
    run(forward_, *tape, arrays, &Node::forward);
    return tape;
  }

  void backward(std::unique_ptr<Tape> tape, const Arrays& arrays) {
    const std::lock_guard<std::mutex> lock(mutex_);
    run(backward_, *tape, arrays, &Node::backward);
    free_.push_back(std::move(tape));
  }

  // Takes back the tape of a batch that does not pass backward.
  void drop(std::unique_ptr<Tape> tape) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(tape));
  }

 private:
  struct Call {
    Tape& tape;
    const Arrays& arrays;
    Group group;
    Share share;
  };
  // For each group of images; or once for the batch, when all groups are done with what was before.
  struct Action {
    void (Training::*perform)(size_t node, const Call& call) const;
    size_t node;
    bool is_once = false;
  };

  void list_actions() {
    for (size_t i = 0; i < plan_.nodes.size(); ++i)
      if (!plan_.nodes[i].link.is_norm()) forward_.push_back({&Training::settle, i, true});
    forward_.push_back({&Training::enter_input, 0});
    for (size_t i = 0; i < plan_.nodes.size(); ++i) {
      forward_.push_back({&Training::compute, i});
      if (plan_.nodes[i].link.is_norm()) forward_.push_back({&Training::settle, i, true});
      if (!plan_.nodes[i].link.is_empty()) forward_.push_back({&Training::pass_link, i});
    }
    forward_.push_back({&Training::leave_output, plan_.nodes.size()});
    backward_.push_back({&Training::enter_gradient, plan_.nodes.size()});
    for (size_t i = plan_.nodes.size(); i-- > 0;) {
      backward_.push_back({&Training::bring, i});
      if (plan_.nodes[i].link.is_norm()) backward_.push_back({&Training::settle_back, i, true});
      backward_.push_back({&Training::undo, i});
    }
    if (plan_.returns_gradient) backward_.push_back({&Training::leave_gradient, 0});
    backward_.push_back({&Training::wait, 0, true});
  }

  // All actions, for each group of each part of the images. There may be fewer threads than parts.
  void run(const std::vector<Action>& actions, Tape& tape, const Arrays& arrays,
           std::unique_ptr<Layer> Node::* layers) const {
    parallel(tape.parts, [&](const Share& threads) {
      pack(arrays, layers, threads);
      for (int64_t part = threads.part; part < tape.parts; part += threads.parts) {
        std::fill_n(tape.sums.data() + part * plan_.sums, plan_.sums, 0.0);
        if (layers == &Node::backward) std::fill_n(tape.weights[part].data(), plan_.weights, 0.0f);
      }
      barrier();
      for (size_t first = 0, end = 0; first < actions.size(); first = end) {
        while (end < actions.size() && actions[end].is_once == actions[first].is_once) ++end;
        if (actions[first].is_once) {
          barrier();
          for (size_t i = first; threads.part == 0 && i < end; ++i)
            (this->*actions[i].perform)(actions[i].node, {tape, arrays, {}, {}});
          barrier();
          continue;
        }
        for (int64_t part = threads.part; part < tape.parts; part += threads.parts) {
          const Share share{part, tape.parts};
          const int64_t begin = share.first(tape.count), images = share.last(tape.count) - begin;
          in_groups(
              first, end, {begin, images}, [&](size_t i) { return plan_.at_once(actions[i].node); },
              [&](size_t i, const Group& group) {
                (this->*actions[i].perform)(actions[i].node, {tape, arrays, group, share});
              });
        }
      }
      if (layers == &Node::backward) finish(tape, arrays, threads);
    });
  }

  void pack(const Arrays& arrays, std::unique_ptr<Layer> Node::* layers, const Share& share) const {
    for (const Node& node : plan_.nodes) {
      if (!(node.*layers)) continue;
      (node.*layers)->pack(arrays.parameters[node.weight], share);
      if (share.part == 0 && node.bias >= 0 && layers == &Node::forward)
        (node.*layers)->start(arrays.parameters[node.bias]);
    }
  }

  void finish(const Tape& tape, const Arrays& arrays, const Share& share) const {
    for (const Node& node : plan_.nodes) {
      if (!node.weight_gradient) continue;
      std::vector<const float*> sums;
      for (const auto& part : tape.weights) sums.push_back(part.data() + node.weight_at);
      float* const weight = arrays.parameter_gradients[node.weight];
      if (weight) node.weight_gradient->finish(sums, weight, share);
      float* const bias = node.bias < 0 ? nullptr : arrays.parameter_gradients[node.bias];
      if (share.part > 0 || !bias) continue;
      for (int64_t c = 0; c < node.computed.channels; ++c) {
        double sum = 0;
        for (int part = 0; part < tape.parts; ++part) sum += sums_of(tape, node, part).bias[c];
        bias[c] = float(sum);
      }
    }
  }

  // Actions.

  void enter_input(size_t, const Call& call) const {
    const Layout& layout = plan_.values.front().layout;
    if (layout.is_plain()) return;
    const Images to = value(0, call);
    clear_border(to, call.group.images);
    enter(call.arrays.in + first_image(call) * layout.size(), images(call), to);
  }

  void compute(size_t number, const Call& call) const {
    const Node& node = plan_.nodes[number];
    const Images to = computed(node, call);
    const int64_t count = call.group.images;
    if (node.kind == Node::Kind::layer) {
      node.forward->run({value(node.inputs[0], call)}, count, to, {});
    } else if (node.kind == Node::Kind::sum) {
      std::vector<Images> summands;
      for (const size_t input : node.inputs) summands.push_back(value(input, call));
      Elementwise(*to.layout, Stages(to.layout->channels)).run(summands, count, to, {});
    }
    if (node.kind != Node::Kind::pass) clear_border(to, count);
    if (node.link.drops()) node.link.drop(to, call.group.first, count, key(call.tape, number));
    const int64_t area = node.computed.height * node.computed.width;
    const int64_t seen = (call.group.first - call.share.first(call.tape.count)) * to.layout->stack() * area;
    if (node.link.is_norm())
      node.link.norm().add_moments(to, count, images(call), seen, sums_of(call.tape, node, call.share.part));
  }

  void settle(size_t number, const Call& call) const {
    const Node& node = plan_.nodes[number];
    std::vector<int64_t> pixels;
    for (int part = 0; part < call.tape.parts; ++part) {
      const Share share{part, call.tape.parts};
      const int64_t stack = node.computed.stack(),
                    end = std::min(share.last(call.tape.count) * stack, call.tape.images);
      pixels.push_back((end - share.first(call.tape.count) * stack) * node.computed.height * node.computed.width);
    }
    node.link.settle(node.computed, all_sums(call.tape, node), pixels, call.arrays.parameters, norm(call.tape, node));
  }

  void pass_link(size_t number, const Call& call) const {
    const Node& node = plan_.nodes[number];
    const Images to = value(number + 1, call);
    node.link.forward(computed(node, call), call.group.images, norm(call.tape, node), to);
    clear_border(to, call.group.images);
  }

  void leave_output(size_t number, const Call& call) const {
    leave(value(number, call), images(call), call.arrays.out + first_image(call) * output().size());
  }

  void enter_gradient(size_t, const Call& call) const {
    if (!output().is_plain())
      enter(call.arrays.out_gradient + first_image(call) * output().size(), images(call), head(call), Lacking::zero);
  }

  void bring(size_t number, const Call& call) const {
    const Node& node = plan_.nodes[number];
    const Images to = gradient(node, call);
    const Images given = gradient_of(number + 1, call);
    if (given.values != to.values)
      node.link.bring(computed(node, call), value(number + 1, call), given, call.group.images, norm(call.tape, node),
                      to);
    if (node.link.is_norm())
      node.link.norm().add_sums(computed(node, call), to, call.group.images, norm(call.tape, node),
                                sums_of(call.tape, node, call.share.part));
  }

  void settle_back(size_t number, const Call& call) const {
    const Node& node = plan_.nodes[number];
    const int64_t pixels = call.tape.images * node.computed.height * node.computed.width;
    node.link.norm().settle_back(node.computed, all_sums(call.tape, node), pixels, call.arrays.parameter_gradients,
                                 norm(call.tape, node));
  }

  void undo(size_t number, const Call& call) const {
    const Node& node = plan_.nodes[number];
    const Images of = gradient(node, call);
    const int64_t count = call.group.images;
    node.link.undo(computed(node, call), count, images(call), norm(call.tape, node), of,
                   sums_of(call.tape, node, call.share.part));
    clear_border(of, count);
    if (node.kind != Node::Kind::layer) return;
    node.weight_gradient->add(value(node.inputs[0], call), of, count,
                              call.tape.weights[call.share.part].data() + node.weight_at);
    if (node.backward) node.backward->run({of}, count, in_gradient(node, call), {});
  }

  void leave_gradient(size_t, const Call& call) const {
    const int64_t size = plan_.values.front().layout.size();
    leave(gradient_of(0, call), images(call), call.arrays.in_gradient + first_image(call) * size);
  }

  void wait(size_t, const Call&) const {}

  // Memory.

  int64_t stacks(int64_t images) const { return (images - 1) / plan_.values.front().layout.stack() + 1; }
  // The first image of a group, and how many it has.
  int64_t first_image(const Call& call) const { return call.group.first * plan_.values.front().layout.stack(); }
  int64_t images(const Call& call) const {
    const int64_t most = call.group.images * plan_.values.front().layout.stack();
    return std::min(most, call.tape.images - first_image(call));
  }

  std::unique_ptr<Tape> lease(int64_t images, int most_threads) {
    std::unique_ptr<Tape> tape = std::make_unique<Tape>();
    if (!free_.empty()) {
      tape = std::move(free_.back());
      free_.pop_back();
    }
    const int64_t count = stacks(images);
    const double microseconds = plan_.cycles * double(count) / 3000;
    tape->lanes = plan_.values.front().layout.lanes;
    tape->images = images, tape->count = count;
    tape->parts = int(std::clamp(microseconds / kWorthAThread, 1.0, double(std::min<int64_t>(most_threads, count))));
    if (int64_t(tape->memory.size()) < plan_.size * count / 16) tape->memory.resize(plan_.size * count / 16);
    tape->norms.resize(plan_.norms);
    tape->sums.resize(plan_.sums * tape->parts);
    tape->weights.resize(tape->parts);
    for (auto& each : tape->weights) each.resize(plan_.weights);
    return tape;
  }

  Images at(const Layout& layout, int64_t place, const Call& call) const {
    float* const memory = const_cast<float*>(call.tape.memory.data()->values);
    return Images{&layout, memory + place * call.tape.count}.from(call.group.first);
  }
  Images value(size_t number, const Call& call) const {
    const Value& value = plan_.values[number];
    if (number == 0 && value.layout.is_plain())
      return Images{&value.layout, const_cast<float*>(call.arrays.in)}.from(call.group.first);
    return at(value.layout, value.place, call);
  }
  Images computed(const Node& node, const Call& call) const {
    if (node.kind == Node::Kind::pass) return value(node.inputs[0], call);
    return at(node.computed, node.computed_at, call);
  }
  Images gradient(const Node& node, const Call& call) const { return at(node.gradient, node.gradient_at, call); }
  Images in_gradient(const Node& node, const Call& call) const {
    return at(node.in_gradient, node.in_gradient_at, call);
  }
  Images head(const Call& call) const {
    if (output().is_plain())
      return Images{&output(), const_cast<float*>(call.arrays.out_gradient)}.from(call.group.first);
    return at(output(), plan_.head_at, call);
  }
  // The gradient of a value: the sum of those of all that read it.
  Images gradient_of(size_t number, const Call& call) const {
    if (number == plan_.nodes.size()) return head(call);
    const Value& value = plan_.values[number];
    auto from = [&](const Source& source) {
      const Node& node = plan_.nodes[source.node];
      return source.is_own ? gradient(node, call) : in_gradient(node, call);
    };
    if (value.sources.size() == 1) return from(value.sources[0]);
    const Images sum = at(value.sum, value.sum_at, call);
    std::fill_n(sum.values, call.group.images * sum.layout->image(), 0.0f);
    for (const Source& source : value.sources) {
      const Images added = from(source);
      const int64_t pixel = value.sum.pixel(), step = value.sum.vector(1), added_step = added.layout->vector(1);
      each_row(value.sum, call.group.images, [&](int64_t n, int64_t y) {
        const float* const g = added.at(n, y, 0);
        float* const to = sum.at(n, y, 0);
        each_vector(value.sum, [&](int64_t x, int64_t v) {
          float* const at = to + x * pixel + v * step;
          store(at, load(at) + load(g + x * pixel + v * added_step));
        });
      });
    }
    return sum;
  }
  Sums sums_of(const Tape& tape, const Node& node, int64_t part) const {
    double* const first = const_cast<double*>(tape.sums.data()) + part * plan_.sums + node.sums_at;
    const int64_t pixel = node.computed.padded_channels();
    return {first, first + pixel, first + 2 * pixel};
  }
  std::vector<Sums> all_sums(const Tape& tape, const Node& node) const {
    std::vector<Sums> sums;
    for (int part = 0; part < tape.parts; ++part) sums.push_back(sums_of(tape, node, part));
    return sums;
  }
  Norm norm(const Tape& tape, const Node& node) const {
    float* const first = const_cast<float*>(tape.norms.data()) + node.norm_at;
    const int64_t pixel = node.computed.padded_channels();
    return {first,
            first + pixel,
            first + 2 * pixel,
            first + 3 * pixel,
            first + 4 * pixel,
            first + 5 * pixel,
            first + 6 * pixel};
  }
  static Key key(const Tape& tape, size_t node) { return {tape.key.low + uint32_t(node) * 0x9E3779B9u, tape.key.high}; }

  const Plan plan_;
  std::vector<Action> forward_, backward_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Tape>> free_;
};

// The program in whichever of the two ways is faster for a batch.
class TrainingProgram {
 public:
  explicit TrainingProgram(const std::string& text)
      : ways_(text, [](const std::string& words, Lanes lanes) { return std::make_unique<Training>(words, lanes); }) {}

  int parameters() const { return ways_.of(1).parameters(); }
  std::unique_ptr<Tape> forward(const Arrays& arrays, int64_t images, Key key, int most_threads) {
    return ways_.of(images).forward(arrays, images, key, most_threads);
  }
  void backward(std::unique_ptr<Tape> tape, const Arrays& arrays) {
    ways_.with(tape->lanes).backward(std::move(tape), arrays);
  }
  void drop(std::unique_ptr<Tape> tape) { ways_.with(tape->lanes).drop(std::move(tape)); }

 private:
  Ways<Training> ways_;
};

}  // namespace zoo::program
