// A network in training as one program: forward for a batch, and backward from the gradient of what came out. What the
// backward pass needs is kept on a tape. Threads share the images of a batch. Each takes a group of them from step to
// step while they are in the second-level cache, as far as BatchNorm, which has to see the whole batch first.
//
// A program is written in words, by zoo/graph/passes/training_programs.py. Values are numbered: 0 is the input, i what
// the i-th node puts out.
//
//     program   number of parameters, channels, height, width, whether the input is thin (see images.h), whether it
//     needs a gradient ; node ... node      convolution VALUE WEIGHT BIAS OUTPUTS GEOMETRY part ... ;
//               dense VALUE WEIGHT BIAS OUTPUTS part ... ;
//               sum VALUE VALUE part ... ;
//               pass VALUE part ... ;
//     part      see links.h, in the order given there, each at most once
//
// WEIGHT, BIAS, GAMMA ... are numbers of parameters, -1 where there is none. GEOMETRY is as in program.h; convolutions
// have no strides, and less padding than their kernels are large.

#pragma once

#include <omp.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "gradients.h"
#include "groups.h"
#include "links.h"
#include "program.h"

namespace zoo::program {

// What is kept of a batch between its passes, and their buffers.
struct Tape {
  int64_t count = 0;  // images
  int parts = 1;      // threads that share them
  Key key{};          // of its Dropout
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
  explicit Training(const std::string& text) {
    std::istringstream words(text);
    std::string end;
    values_.emplace_back();
    Layout& input = values_.front().layout;
    words >> parameters_ >> input.channels >> input.height >> input.width >> input.is_thin >> returns_gradient_ >> end;
    for (std::string kind; words >> kind;) read(kind, words);
    plan();
    list_actions();
  }

  const Layout& output() const { return values_.back().layout; }
  int parameters() const { return parameters_; }

  // May change the parameters of BatchNorm that are not trained.
  std::unique_ptr<Tape> forward(const Arrays& arrays, int64_t count, Key key, int most_threads) {
    if (getpid() != kProcess) most_threads = 1;  // OpenMP's threads do not survive a fork, and it would wait for them
    const std::lock_guard<std::mutex> lock(mutex_);
    std::unique_ptr<Tape> tape = lease(count, most_threads);
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
  struct Source {  // of a value's gradient
    size_t node;
    bool is_own;  // the gradient of what the node computes is that of the value, too
  };
  struct Value {
    Layout layout;
    int64_t place = 0;  // on the tape, of each image
    std::vector<Source> sources;
    Layout sum{};  // of the gradients, where there are several sources
    int64_t sum_at = 0;
  };
  struct Node {
    enum class Kind { layer, sum, pass } kind;
    std::vector<size_t> inputs;
    int weight = -1, bias = -1;  // parameters
    Geometry geometry{};
    bool is_flat = false;  // its kernel covers the image
    Link link;
    Layout computed, gradient, in_gradient;  // of what it computes, before the link
    int64_t computed_at = 0, gradient_at = 0, in_gradient_at = 0;
    int64_t sums_at = 0, norm_at = 0, weight_at = 0;
    std::unique_ptr<Layer> forward, backward;
    std::unique_ptr<WeightGradient> weight_gradient;
  };
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

  void read(const std::string& kind, std::istringstream& words) {
    Node& node = nodes_.emplace_back();
    node.kind = kind == "sum" ? Node::Kind::sum : kind == "pass" ? Node::Kind::pass : Node::Kind::layer;
    node.inputs.resize(kind == "sum" ? 2 : 1);
    for (size_t& input : node.inputs) words >> input;
    const Layout in = values_[node.inputs[0]].layout;
    node.computed = {in.channels, in.height, in.width};
    if (node.kind == Node::Kind::layer) {
      words >> node.weight >> node.bias >> node.computed.channels;
      Geometry& geometry = node.geometry;
      geometry = {in.height, in.width, 1, 1, 0, 0};
      if (kind == "convolution")
        words >> geometry.kernel_height >> geometry.kernel_width >> geometry.stride_height >> geometry.stride_width >>
            geometry.pad_height >> geometry.pad_width;
      node.computed.height = in.height + 2 * geometry.pad_height - geometry.kernel_height + 1;
      node.computed.width = in.width + 2 * geometry.pad_width - geometry.kernel_width + 1;
      node.is_flat = node.computed.height * node.computed.width == 1 && geometry.pad_height + geometry.pad_width == 0;
      Layout& read = values_[node.inputs[0]].layout;
      read.border_height = std::max(read.border_height, geometry.pad_height);
      read.border_width = std::max(read.border_width, geometry.pad_width);
    }
    node.link = Link(words);
    if (node.kind == Node::Kind::pass && node.link.drops()) node.kind = Node::Kind::sum;  // of one: drops from a copy
    for (const size_t input : node.inputs)
      values_[input].sources.push_back({nodes_.size() - 1, node.kind != Node::Kind::layer});
    values_.emplace_back().layout = node.link.out(node.computed);
  }

  bool needs_gradient(size_t value) const { return value > 0 || returns_gradient_; }

  void plan() {
    if (!values_[0].layout.is_plain()) values_[0].place = take(values_[0].layout);
    int64_t bytes = 0;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      Node& node = nodes_[i];
      Value &read = values_[node.inputs[0]], &out = values_[i + 1];
      if (node.kind == Node::Kind::pass) node.computed = read.layout, node.computed_at = read.place;
      if (node.kind != Node::Kind::pass) {
        if (node.link.is_empty()) node.computed = out.layout;
        node.computed_at = take(node.computed);
      }
      out.place = node.link.is_empty() ? node.computed_at : take(out.layout);
      node.sums_at = sums_, node.norm_at = norms_;
      sums_ += 3 * node.computed.pixel();
      norms_ += 7 * node.computed.pixel();
      bytes = std::max(bytes, 4 * (read.layout.image() + node.computed.image()));
      cycles_ += 8.0 * double(node.computed.image() / kLanes);
      if (node.kind == Node::Kind::layer) plan_layer(node, read.layout);
      node.gradient = gradient_layout(node);
      node.gradient_at = take(node.gradient);
    }
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (nodes_[i].kind == Node::Kind::layer) plan_gradients(nodes_[i]);
    for (Value& value : values_) {
      value.sum = {value.layout.channels, value.layout.height, value.layout.width};
      if (value.sources.size() > 1) value.sum_at = take(value.sum);
    }
    head_at_ = take(output());
    at_once_ = std::clamp<int64_t>(half_a_cache() / bytes, 1, 32);
  }

  void plan_layer(Node& node, const Layout& in) {
    Stages stages(node.computed.channels);
    if (node.link.before() != Activation::none) stages.activate(node.link.before());
    node.forward = convolution(in, node.computed, node.geometry, places(node), stages);
    cycles_ += node.forward->cycles_per_image();
  }

  Places places(const Node& node) const {
    const int64_t inputs = values_[node.inputs[0]].layout.channels;
    return Places::forward(node.computed.channels, inputs, node.geometry.taps());
  }

  // The gradient of an input is a convolution of that of the output, with the kernel turned around; of a layer whose
  // kernel covers the image, a fully connected layer that puts out all pixels side by side.
  std::unique_ptr<Layer> backward_layer(const Node& node, const Layout& gradient, const Layout& out) const {
    const int64_t inputs = out.channels, outputs = gradient.channels, taps = node.geometry.taps();
    Places places;
    for (int64_t tap = node.is_flat ? 1 : taps; tap-- > 0;)
      for (int64_t o = 0; o < outputs; ++o) places.rows.push_back(o * inputs * taps + tap);
    for (int64_t tap = 0; tap < (node.is_flat ? taps : 1); ++tap)
      for (int64_t c = 0; c < (node.is_flat ? out.pixel() : inputs); ++c)
        places.columns.push_back(c < inputs ? c * taps + tap : -1);
    const Geometry& given = node.geometry;
    if (!node.is_flat) {
      const Geometry geometry{given.kernel_height,
                              given.kernel_width,
                              1,
                              1,
                              given.kernel_height - 1 - given.pad_height,
                              given.kernel_width - 1 - given.pad_width};
      return convolution(gradient, out, geometry, places, Stages(inputs));
    }
    const Layout pixels{taps * out.pixel(), 1, 1};
    return std::make_unique<Product>(gradient, pixels, Geometry{1, 1, 1, 1, 0, 0}, places, Stages(pixels.channels));
  }

  // With a border for the layer that computes the gradient of the input, if it reads one.
  Layout gradient_layout(const Node& node) const {
    Layout layout{node.computed.channels, node.computed.height, node.computed.width};
    if (node.kind != Node::Kind::layer || node.is_flat || !needs_gradient(node.inputs[0])) return layout;
    const Layout &in = values_[node.inputs[0]].layout, out{in.channels, in.height, in.width};
    Layout bordered = layout;
    bordered.border_height = node.geometry.kernel_height - 1 - node.geometry.pad_height;
    bordered.border_width = node.geometry.kernel_width - 1 - node.geometry.pad_width;
    return backward_layer(node, bordered, out)->reads_border() ? bordered : layout;
  }

  void plan_gradients(Node& node) {
    const Value& read = values_[node.inputs[0]];
    node.weight_gradient = program::weight_gradient(read.layout, node.gradient, node.geometry, places(node));
    node.weight_at = weights_;
    weights_ += round_up(node.weight_gradient->size(), 16);
    if (!needs_gradient(node.inputs[0])) return;
    node.in_gradient = {read.layout.channels, read.layout.height, read.layout.width};
    if (node.inputs[0] > 0 && continues(nodes_[node.inputs[0] - 1], node)) {
      node.in_gradient = nodes_[node.inputs[0] - 1].gradient;
      node.in_gradient_at = nodes_[node.inputs[0] - 1].gradient_at;
    } else {
      node.in_gradient_at = take(node.in_gradient);
    }
    node.backward = backward_layer(node, node.gradient, node.in_gradient);
  }

  // Whether the gradient of what `node` computes can be written by its only reader.
  bool continues(const Node& node, const Node& reader) const {
    const bool has_border = node.gradient.border_height + node.gradient.border_width > 0;
    return node.link.is_empty() && values_[reader.inputs[0]].sources.size() == 1 && !(reader.is_flat && has_border);
  }

  void list_actions() {
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (!nodes_[i].link.is_norm()) forward_.push_back({&Training::settle, i, true});
    forward_.push_back({&Training::enter_input, 0});
    for (size_t i = 0; i < nodes_.size(); ++i) {
      forward_.push_back({&Training::compute, i});
      if (nodes_[i].link.is_norm()) forward_.push_back({&Training::settle, i, true});
      if (!nodes_[i].link.is_empty()) forward_.push_back({&Training::pass_link, i});
    }
    forward_.push_back({&Training::leave_output, nodes_.size()});
    backward_.push_back({&Training::enter_gradient, nodes_.size()});
    for (size_t i = nodes_.size(); i-- > 0;) {
      backward_.push_back({&Training::bring, i});
      if (nodes_[i].link.is_norm()) backward_.push_back({&Training::settle_back, i, true});
      backward_.push_back({&Training::undo, i});
    }
    if (returns_gradient_) backward_.push_back({&Training::leave_gradient, 0});
    backward_.push_back({&Training::wait, 0, true});
  }

  // All actions, for each group of each part of the images. There may be fewer threads than parts.
  void run(const std::vector<Action>& actions, Tape& tape, const Arrays& arrays,
           std::unique_ptr<Layer> Node::* layers) const {
#pragma omp parallel num_threads(tape.parts)
    {
      const Share threads{omp_get_thread_num(), omp_get_num_threads()};
      pack(arrays, layers, threads);
      for (int64_t part = threads.part; part < tape.parts; part += threads.parts) {
        std::fill_n(tape.sums.data() + part * sums_, sums_, 0.0);
        if (layers == &Node::backward) std::fill_n(tape.weights[part].data(), weights_, 0.0f);
      }
#pragma omp barrier
      for (size_t first = 0, end = 0; first < actions.size(); first = end) {
        while (end < actions.size() && actions[end].is_once == actions[first].is_once) ++end;
        if (actions[first].is_once) {
#pragma omp barrier
          for (size_t i = first; threads.part == 0 && i < end; ++i)
            (this->*actions[i].perform)(actions[i].node, {tape, arrays, {}, {}});
#pragma omp barrier
          continue;
        }
        for (int64_t part = threads.part; part < tape.parts; part += threads.parts) {
          const Share share{part, tape.parts};
          const int64_t begin = share.first(tape.count), images = share.last(tape.count) - begin;
          for (int64_t n = 0; n < images; n += at_once_)
            for (size_t i = first; i < end; ++i)
              (this->*actions[i].perform)(actions[i].node,
                                          {tape, arrays, {begin + n, std::min(at_once_, images - n)}, share});
        }
      }
      if (layers == &Node::backward) finish(tape, arrays, threads);
    }
  }

  void pack(const Arrays& arrays, std::unique_ptr<Layer> Node::* layers, const Share& share) const {
    for (const Node& node : nodes_) {
      if (!(node.*layers)) continue;
      (node.*layers)->pack(arrays.parameters[node.weight], share);
      if (share.part == 0 && node.bias >= 0 && layers == &Node::forward)
        (node.*layers)->start(arrays.parameters[node.bias]);
    }
  }

  void finish(const Tape& tape, const Arrays& arrays, const Share& share) const {
    for (const Node& node : nodes_) {
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
    const Layout& layout = values_.front().layout;
    if (layout.is_plain()) return;
    const Images to = value(0, call);
    clear_border(to, call.group.images);
    enter(call.arrays.in + call.group.first * layout.size(), call.group.images, to);
  }

  void compute(size_t number, const Call& call) const {
    const Node& node = nodes_[number];
    const Images to = computed(node, call);
    const int64_t images = call.group.images;
    if (node.kind == Node::Kind::layer) {
      node.forward->run({value(node.inputs[0], call)}, images, to, {});
    } else if (node.kind == Node::Kind::sum) {
      std::vector<Images> summands;
      for (const size_t input : node.inputs) summands.push_back(value(input, call));
      Elementwise(*to.layout, Stages(to.layout->channels)).run(summands, images, to, {});
    }
    if (node.kind != Node::Kind::pass) clear_border(to, images);
    if (node.link.drops()) node.link.drop(to, call.group.first, images, key(call.tape, number));
    const int64_t area = node.computed.height * node.computed.width;
    const int64_t seen = (call.group.first - call.share.first(call.tape.count)) * area;
    if (node.link.is_norm()) node.link.add_moments(to, images, seen, sums_of(call.tape, node, call.share.part));
  }

  void settle(size_t number, const Call& call) const {
    const Node& node = nodes_[number];
    std::vector<int64_t> pixels;
    for (int part = 0; part < call.tape.parts; ++part) {
      const Share share{part, call.tape.parts};
      const int64_t images = share.last(call.tape.count) - share.first(call.tape.count);
      pixels.push_back(images * node.computed.height * node.computed.width);
    }
    node.link.settle(node.computed, all_sums(call.tape, node), pixels, call.arrays.parameters, norm(call.tape, node));
  }

  void pass_link(size_t number, const Call& call) const {
    const Node& node = nodes_[number];
    const Images to = value(number + 1, call);
    node.link.forward(computed(node, call), call.group.images, norm(call.tape, node), to);
    clear_border(to, call.group.images);
  }

  void leave_output(size_t number, const Call& call) const {
    leave(value(number, call), call.group.images, call.arrays.out + call.group.first * output().size());
  }

  void enter_gradient(size_t, const Call& call) const {
    if (!output().is_plain())
      enter(call.arrays.out_gradient + call.group.first * output().size(), call.group.images, head(call));
  }

  void bring(size_t number, const Call& call) const {
    const Node& node = nodes_[number];
    const Images to = gradient(node, call);
    const Images given = gradient_of(number + 1, call);
    if (given.values != to.values)
      node.link.bring(computed(node, call), value(number + 1, call), given, call.group.images, norm(call.tape, node),
                      to);
    if (node.link.is_norm())
      node.link.add_sums(computed(node, call), to, call.group.images, norm(call.tape, node),
                         sums_of(call.tape, node, call.share.part));
  }

  void settle_back(size_t number, const Call& call) const {
    const Node& node = nodes_[number];
    const int64_t pixels = call.tape.count * node.computed.height * node.computed.width;
    node.link.settle_back(node.computed, all_sums(call.tape, node), pixels, call.arrays.parameter_gradients,
                          norm(call.tape, node));
  }

  void undo(size_t number, const Call& call) const {
    const Node& node = nodes_[number];
    const Images of = gradient(node, call);
    const int64_t images = call.group.images;
    node.link.undo(computed(node, call), images, norm(call.tape, node), of, sums_of(call.tape, node, call.share.part));
    clear_border(of, images);
    if (node.kind != Node::Kind::layer) return;
    node.weight_gradient->add(value(node.inputs[0], call), of, images,
                              call.tape.weights[call.share.part].data() + node.weight_at);
    if (node.backward) node.backward->run({of}, images, in_gradient(node, call), {});
  }

  void leave_gradient(size_t, const Call& call) const {
    const int64_t size = values_.front().layout.size();
    leave(gradient_of(0, call), call.group.images, call.arrays.in_gradient + call.group.first * size);
  }

  void wait(size_t, const Call&) const {}

  // Memory.

  int64_t take(const Layout& layout) {
    const int64_t place = size_;
    size_ += round_up(layout.image(), 16);
    return place;
  }

  std::unique_ptr<Tape> lease(int64_t count, int most_threads) {
    std::unique_ptr<Tape> tape = std::make_unique<Tape>();
    if (!free_.empty()) {
      tape = std::move(free_.back());
      free_.pop_back();
    }
    const double microseconds = cycles_ * double(count) / 3000;
    tape->count = count;
    tape->parts = int(std::clamp(microseconds / kWorthAThread, 1.0, double(std::min<int64_t>(most_threads, count))));
    if (int64_t(tape->memory.size()) < size_ * count / 16) tape->memory.resize(size_ * count / 16);
    tape->norms.resize(norms_);
    tape->sums.resize(sums_ * tape->parts);
    tape->weights.resize(tape->parts);
    for (auto& each : tape->weights) each.resize(weights_);
    return tape;
  }

  Images at(const Layout& layout, int64_t place, const Call& call) const {
    float* const memory = const_cast<float*>(call.tape.memory.data()->values);
    return Images{&layout, memory + place * call.tape.count}.from(call.group.first);
  }
  Images value(size_t number, const Call& call) const {
    const Value& value = values_[number];
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
    return at(output(), head_at_, call);
  }
  // The gradient of a value: the sum of those of all that read it.
  Images gradient_of(size_t number, const Call& call) const {
    if (number == nodes_.size()) return head(call);
    const Value& value = values_[number];
    auto from = [&](const Source& source) {
      const Node& node = nodes_[source.node];
      return source.is_own ? gradient(node, call) : in_gradient(node, call);
    };
    if (value.sources.size() == 1) return from(value.sources[0]);
    const Images sum = at(value.sum, value.sum_at, call);
    std::fill_n(sum.values, call.group.images * sum.layout->image(), 0.0f);
    for (const Source& source : value.sources) {
      const Images added = from(source);
      each_row(value.sum, call.group.images, [&](int64_t n, int64_t y) {
        const float* const g = added.at(n, y, 0);
        float* const to = sum.at(n, y, 0);
        for (int64_t i = 0; i < value.sum.row(); i += kLanes) store(to + i, load(to + i) + load(g + i));
      });
    }
    return sum;
  }
  Sums sums_of(const Tape& tape, const Node& node, int64_t part) const {
    double* const first = const_cast<double*>(tape.sums.data()) + part * sums_ + node.sums_at;
    const int64_t pixel = node.computed.pixel();
    return {first, first + pixel, first + 2 * pixel};
  }
  std::vector<Sums> all_sums(const Tape& tape, const Node& node) const {
    std::vector<Sums> sums;
    for (int part = 0; part < tape.parts; ++part) sums.push_back(sums_of(tape, node, part));
    return sums;
  }
  Norm norm(const Tape& tape, const Node& node) const {
    float* const first = const_cast<float*>(tape.norms.data()) + node.norm_at;
    const int64_t pixel = node.computed.pixel();
    return {first,
            first + pixel,
            first + 2 * pixel,
            first + 3 * pixel,
            first + 4 * pixel,
            first + 5 * pixel,
            first + 6 * pixel};
  }
  static Key key(const Tape& tape, size_t node) { return {tape.key.low + uint32_t(node) * 0x9E3779B9u, tape.key.high}; }

  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::vector<Action> forward_, backward_;
  bool returns_gradient_ = false;
  int parameters_ = 0;
  int64_t size_ = 0;  // of the tape, for each image
  int64_t sums_ = 0, norms_ = 0, weights_ = 0, head_at_ = 0;
  int64_t at_once_ = 1;  // images
  double cycles_ = 0;    // of an image, forward
  std::mutex mutex_;
  std::vector<std::unique_ptr<Tape>> free_;
};

}  // namespace zoo::program
