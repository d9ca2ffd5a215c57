// Threads of the OpenMP that MXNet has loaded, so that one pool of them serves both. Its functions are found at run
// time: the compiler needs no OpenMP of its own, and a second one never gets into the process.

#pragma once

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace zoo {

struct OpenMP {
  void (*parallel)(void (*work)(void*), void* argument, unsigned threads, unsigned flags);
  void (*barrier)();
  int (*thread)();
  int (*threads)();
  int (*most_threads)();
};

// That of GCC, or another one with the same functions; without any, work is done by one thread.
inline const OpenMP& openmp() {
  static const OpenMP found = [] {
    OpenMP none{[](void (*work)(void*), void* argument, unsigned, unsigned) { work(argument); }, [] {},
                [] { return 0; }, [] { return 1; }, [] { return 1; }};
    for (const int loaded : {RTLD_NOLOAD, 0})
      for (const char* name : {"libgomp.so.1", "libomp.so.5", "libomp.so", "libiomp5.so"}) {
        void* const library = dlopen(name, RTLD_NOW | loaded);
        void* const parallel = library ? dlsym(library, "GOMP_parallel") : nullptr;
        if (!parallel) continue;
        return OpenMP{reinterpret_cast<decltype(none.parallel)>(parallel),
                      reinterpret_cast<decltype(none.barrier)>(dlsym(library, "GOMP_barrier")),
                      reinterpret_cast<decltype(none.thread)>(dlsym(library, "omp_get_thread_num")),
                      reinterpret_cast<decltype(none.threads)>(dlsym(library, "omp_get_num_threads")),
                      reinterpret_cast<decltype(none.most_threads)>(dlsym(library, "omp_get_max_threads"))};
      }
    return none;
  }();
  return found;
}

// The part of a piece of work that a thread does: work is numbered.
struct Share {
  int64_t part = 0, parts = 1;

  int64_t first(int64_t count) const { return count * part / parts; }
  int64_t last(int64_t count) const { return count * (part + 1) / parts; }
};

// Each of at most so many threads does `work`, and is told its share.
template <class Work>
void parallel(int threads, const Work& work) {
  const auto each = [](void* argument) noexcept {
    (*static_cast<const Work*>(argument))(Share{openmp().thread(), openmp().threads()});
  };
  openmp().parallel(each, const_cast<Work*>(&work), unsigned(threads), 0);
}

// Inside of it: waits for all of these threads.
inline void barrier() { openmp().barrier(); }

// Numbers from 0 on, which threads take one after another.
class Queue {
 public:
  explicit Queue(int64_t count) : count_(count) {}

  template <class Work>
  void each(const Work& work) {
    for (int64_t number = next_++; number < count_; number = next_++) work(number);
  }

 private:
  const int64_t count_;
  std::atomic<int64_t> next_{0};
};

inline int most_threads() { return openmp().most_threads(); }

// How many threads work of so many nanoseconds on one thread is worth: to wake another one takes about 0.1 ms.
inline int threads_for(double nanoseconds) { return int(std::clamp(nanoseconds / 2e5, 1.0, double(most_threads()))); }

}  // namespace zoo
