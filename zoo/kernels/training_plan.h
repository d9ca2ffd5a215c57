// The plan of a program for training: what its nodes compute, with which layouts, algorithms and buffers.
//
// A program is written in words, by zoo/graph/passes/training_programs.py. Values are numbered: 0 is the input, i what
// the i-th node puts out.
//
//     program   LANES parameters, channels, height, width, whether the input is thin, whether it needs a gradient ;
//     node ... node      convolution VALUE WEIGHT BIAS OUTPUTS GEOMETRY part ... ;
//               dense VALUE WEIGHT BIAS OUTPUTS part ... ;
//               sum VALUE VALUE part ... ;
//               pass VALUE part ... ;
//     part      see links.h, in the order given there, each at most once
//
// WEIGHT, BIAS, GAMMA ... are numbers of parameters, -1 where there is none. GEOMETRY is as in program.h; convolutions
// have no strides, and less padding than their kernels are large.

#pragma once

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "gradients.h"
#include "links.h"

namespace zoo::program {

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
  int64_t at_once = 1;  // images
  std::unique_ptr<Layer> forward, backward;
  std::unique_ptr<WeightGradient> weight_gradient;
};

struct Plan {
  Plan(const std::string& text, Lanes lanes) {
    std::istringstream words(text);
    std::string end;
    values.emplace_back();
    Layout& input = values.front().layout;
    words >> parameters >> input.channels >> input.height >> input.width >> input.is_thin >> returns_gradient >> end;
    input.lanes = lanes;
    input.is_thin &= !input.is_stacked();
    for (std::string kind; words >> kind;) read(kind, words);
    plan();
  }

  int parameters = 0;
  bool returns_gradient = false;
  std::vector<Value> values;
  std::vector<Node> nodes;
  int64_t size = 0;                   // of the tape, for each image
  int64_t sums = 0, norms = 0;        // values of all nodes
  int64_t weights = 0, head_at = 0;   // of the gradients of all weights; where that of the output is entered
  double cycles = 0, all_cycles = 0;  // of an image: forward, and backward as well

  // So many images that what a node reads and computes fills half of the second-level cache, no more than 32.
  int64_t at_once(size_t node) const { return node < nodes.size() ? nodes[node].at_once : 32; }

 private:
  void read(const std::string& kind, std::istringstream& words) {
    Node& node = nodes.emplace_back();
    node.kind = kind == "sum" ? Node::Kind::sum : kind == "pass" ? Node::Kind::pass : Node::Kind::layer;
    node.inputs.resize(kind == "sum" ? 2 : 1);
    for (size_t& input : node.inputs) words >> input;
    const Layout in = values[node.inputs[0]].layout;
    node.computed = in.bare();
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
      Layout& read = values[node.inputs[0]].layout;
      read.border_height = std::max(read.border_height, geometry.pad_height);
      read.border_width = std::max(read.border_width, geometry.pad_width);
    }
    node.link = Link(words);
    if (node.kind == Node::Kind::pass && node.link.drops()) node.kind = Node::Kind::sum;  // of one: drops from a copy
    for (const size_t input : node.inputs)
      values[input].sources.push_back({nodes.size() - 1, node.kind != Node::Kind::layer});
    values.emplace_back().layout = node.link.out(node.computed);
  }

  bool needs_gradient(size_t value) const { return value > 0 || returns_gradient; }

  void plan() {
    if (!values[0].layout.is_plain()) values[0].place = take(values[0].layout);
    for (size_t i = 0; i < nodes.size(); ++i) {
      Node& node = nodes[i];
      Value &read = values[node.inputs[0]], &out = values[i + 1];
      if (node.kind == Node::Kind::pass) node.computed = read.layout, node.computed_at = read.place;
      if (node.kind != Node::Kind::pass) {
        if (node.link.is_empty()) node.computed = out.layout;
        node.computed_at = take(node.computed);
      }
      out.place = node.link.is_empty() ? node.computed_at : take(out.layout);
      node.sums_at = sums, node.norm_at = norms;
      sums += 3 * node.computed.padded_channels();
      norms += 7 * node.computed.padded_channels();
      const int64_t bytes = 4 * (read.layout.image() + node.computed.image());
      node.at_once = std::clamp<int64_t>(half_a_cache() / bytes, 1, 32);
      cycles += 8.0 * double(node.computed.image() / kLanes);
      all_cycles += 24.0 * double(node.computed.image() / kLanes);
      if (node.kind == Node::Kind::layer) plan_layer(node, read.layout);
      node.gradient = gradient_layout(node);
      node.gradient_at = take(node.gradient);
    }
    for (size_t i = 0; i < nodes.size(); ++i)
      if (nodes[i].kind == Node::Kind::layer) plan_gradients(nodes[i]);
    for (Value& value : values) {
      value.sum = value.layout.bare();
      if (value.sources.size() > 1) value.sum_at = take(value.sum);
    }
    head_at = take(values.back().layout);
    all_cycles += cycles;
  }

  void plan_layer(Node& node, const Layout& in) {
    Stages stages(node.computed.channels);
    if (node.link.before() != Activation::none) stages.activate(node.link.before());
    node.forward = convolution(in, node.computed, node.geometry, places(node), stages);
    cycles += node.forward->cycles_per_image();
  }

  Places places(const Node& node) const {
    const int64_t inputs = values[node.inputs[0]].layout.channels;
    return Places::forward(node.computed.lanes, node.computed.channels, inputs, node.geometry.taps());
  }

  // The gradient of an input is a convolution of that of the output, with the kernel turned around; of a layer whose
  // kernel covers the image, a fully connected layer that puts out all pixels side by side.
  std::unique_ptr<Layer> backward_layer(const Node& node, const Layout& gradient, const Layout& out) const {
    const int64_t inputs = out.channels, outputs = gradient.channels, taps = node.geometry.taps();
    Places places;
    const int64_t turned = node.is_flat ? 1 : taps, pitch = out.is_stacked() ? inputs : out.pixel();
    each_value(out.lanes, turned, outputs,
               [&](int64_t tap, int64_t o) { places.rows.push_back(o * inputs * taps + turned - 1 - tap); });
    each_value(out.lanes, node.is_flat ? taps : 1, node.is_flat ? pitch : inputs,
               [&](int64_t tap, int64_t c) { places.columns.push_back(c < inputs ? c * taps + tap : -1); });
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
    const Layout pixels = out.of(taps * pitch, 1, 1);
    return std::make_unique<Product>(gradient, pixels, Geometry{1, 1, 1, 1, 0, 0}, places, Stages(pixels.channels));
  }

  // With a border for the layer that computes the gradient of the input, if it reads one.
  Layout gradient_layout(const Node& node) const {
    const Layout layout = node.computed.bare();
    if (node.kind != Node::Kind::layer || node.is_flat || !needs_gradient(node.inputs[0])) return layout;
    const Layout out = values[node.inputs[0]].layout.bare();
    Layout bordered = layout;
    bordered.border_height = node.geometry.kernel_height - 1 - node.geometry.pad_height;
    bordered.border_width = node.geometry.kernel_width - 1 - node.geometry.pad_width;
    return backward_layer(node, bordered, out)->reads_border() ? bordered : layout;
  }

  void plan_gradients(Node& node) {
    const Value& read = values[node.inputs[0]];
    node.weight_gradient = program::weight_gradient(read.layout, node.gradient, node.geometry, places(node));
    all_cycles += node.weight_gradient->cycles_per_image();
    node.weight_at = weights;
    weights += round_up(node.weight_gradient->size(), 16);
    if (!needs_gradient(node.inputs[0])) return;
    node.in_gradient = read.layout.bare();
    if (node.inputs[0] > 0 && continues(nodes[node.inputs[0] - 1], node)) {
      node.in_gradient = nodes[node.inputs[0] - 1].gradient;
      node.in_gradient_at = nodes[node.inputs[0] - 1].gradient_at;
    } else {
      node.in_gradient_at = take(node.in_gradient);
    }
    node.backward = backward_layer(node, node.gradient, node.in_gradient);
    all_cycles += node.backward->cycles_per_image();
  }

  // Whether the gradient of what `node` computes can be written by its only reader.
  bool continues(const Node& node, const Node& reader) const {
    const bool has_border = node.gradient.border_height + node.gradient.border_width > 0;
    return node.link.is_empty() && values[reader.inputs[0]].sources.size() == 1 && !(reader.is_flat && has_border);
  }

  int64_t take(const Layout& layout) {
    const int64_t place = size;
    size += round_up(layout.image(), 16);
    return place;
  }
};

}  // namespace zoo::program
