// A program as MXNet sees it: an operator whose inputs are the images and the network's parameters.

#pragma once

#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "call.h"

extern "C" {
void* zoo_program_new(const char* text, const float* const* parameters, int count);
void zoo_program_run(void* program, const float* in, int64_t images, float* out, int threads);
void zoo_program_free(void* program);
}

namespace zoo {

// The programs that were used last. Parameters are known by where they lie, by their versions, and by a sample of their
// values, since memory is used again; copies, which MXNet makes of arrays in oneDNN's layout and which have no version,
// by all of their values. (Their shapes come from the attributes: those that MXNet passes with such copies may dangle.)
class Programs {
 public:
  static std::shared_ptr<void> get(const Call& call) {
    static Programs kept;
    const std::string text = call.attributes.text("program");
    std::istringstream sizes(call.attributes.text("sizes"));
    std::vector<const float*> parameters;
    uint64_t print = 14695981039346656037u;  // FNV-1a
    auto mix = [&](uint64_t bits) { print = (print ^ bits) * 1099511628211u; };
    for (int i = 1; i < call.inputs; ++i) {
      const auto* values = call.input<float>(i);
      const size_t version = call.versions[i];
      int64_t size = 0;
      sizes >> size;
      mix(version);
      if (version) mix(reinterpret_cast<uintptr_t>(values));
      for (int64_t at = 0; at < size; at += version ? std::max<int64_t>(1, size / 256) : 1) {
        uint32_t bits;
        std::memcpy(&bits, values + at, 4);
        mix(bits);
      }
      parameters.push_back(values);
    }
    const std::lock_guard<std::mutex> lock(kept.mutex_);
    for (auto entry = kept.entries_.begin(); entry != kept.entries_.end(); ++entry)
      if (entry->print == print && entry->text == text) {
        kept.entries_.splice(kept.entries_.begin(), kept.entries_, entry);
        return entry->made;
      }
    kept.entries_.push_front({print, text, make(text, parameters)});
    if (kept.entries_.size() > kMost) kept.entries_.pop_back();
    return kept.entries_.front().made;
  }

 private:
  static constexpr size_t kMost = 16;

  struct Entry {
    uint64_t print;
    std::string text;
    std::shared_ptr<void> made;
  };

  static std::shared_ptr<void> make(const std::string& text, const std::vector<const float*>& parameters) {
    return {zoo_program_new(text.c_str(), parameters.data(), int(parameters.size())), zoo_program_free};
  }

  std::mutex mutex_;
  std::list<Entry> entries_;
};

struct ProgramOperator {
  static constexpr const char* name = "zoo_program";  // data, parameters
  static constexpr bool is_differentiable = false;
  static constexpr int outputs = 1;
  static int inputs(const Attributes& given) { return 1 + int(given.number("parameters", 0)); }
  static std::vector<int> mutated(const Attributes&) { return {}; }

  static bool infer(const Attributes& given, const std::vector<unsigned>& data, Shapes&, Shapes& out) {
    if (data.empty() || std::vector<unsigned>(data.begin() + 1, data.end()) != shape(given, "in_")) return false;
    out[0] = shape(given, "");
    out[0].insert(out[0].begin(), data[0]);
    return true;
  }
  static void types(const Attributes&, int* in, int* out) { in[0] = out[0] = kFloat32; }

  template <class T>
  static void run(const Call& call) {
    if constexpr (std::is_same_v<T, float>) {
      const std::shared_ptr<void> made = Programs::get(call);
      zoo_program_run(made.get(), call.input<float>(0), call.out_shapes[0][0], call.output<float>(0), most_threads());
    }
  }

 private:
  static std::vector<unsigned> shape(const Attributes& given, const std::string& prefix) {
    std::vector<unsigned> shape;
    for (const char* axis : {"channels", "height", "width"})
      if (const auto extent = unsigned(given.number(prefix + axis, 0))) shape.push_back(extent);
    return shape;
  }
};

}  // namespace zoo
