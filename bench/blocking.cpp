/// @file
/// How fast are 20 000 small files read by blocking calls, one call for each file?
///
/// sheaf          a coroutine, `spawn_blocking` per file, `gather`
/// tbb            task_group, one task per file, in an arena of as many threads as there are cores
/// libuv          `uv_queue_work` per file on its four threads
/// libuv_fs       `uv_fs_open`, `uv_fs_read`, `uv_fs_close`, one request after the other per file, 256 files at a time
/// std_async      a thread per file, 256 at a time
///
/// The files are 4 KiB each, in a folder of their own below the temporary directory, and in the page cache.

#include <fcntl.h>
#include <unistd.h>

#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "support/check.hpp"
#include "support/peers.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

constexpr std::size_t k_file_size = 4096;
constexpr std::size_t k_at_once = 256;  ///< threads, or open files, where there is one for each file in flight

class small_files {
 public:
  explicit small_files(std::int64_t n) {
    std::string name = (std::filesystem::temp_directory_path() / "sheaf_bench_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::perror("mkdtemp"), std::abort();
    folder_ = name;
    for (std::int64_t i = 0; i < n; ++i) {
      names_.push_back(folder_ / std::to_string(i));
      std::ofstream(names_.back()) << std::string(k_file_size, 'x');
    }
  }
  small_files(const small_files&) = delete;
  small_files& operator=(const small_files&) = delete;
  ~small_files() { std::filesystem::remove_all(folder_); }

  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

 private:
  std::filesystem::path folder_;
  std::vector<std::string> names_;
};

const std::vector<std::string>& files(std::int64_t n) {
  static const small_files all(n);
  return all.names();
}

/// Bytes read.
std::int64_t read_file(const std::string& name) {
  char buffer[k_file_size];
  const int file = open(name.c_str(), O_RDONLY | O_CLOEXEC);
  const auto length = read(file, buffer, sizeof buffer);
  close(file);
  return length;
}

void check(std::int64_t bytes, std::int64_t n) { bench::check(bytes, n * static_cast<std::int64_t>(k_file_size), "blocking"); }

sheaf::coro<> rounds(benchmark::State& state, const std::vector<std::string>& names) {
  for (auto _ : state) {
    std::vector<sheaf::task<std::int64_t>> reads;
    reads.reserve(names.size());
    for (const auto& name : names) reads.push_back(sheaf::spawn_blocking(read_file, std::cref(name)));
    std::int64_t bytes = 0;
    for (const auto length : co_await sheaf::gather(std::move(reads))) bytes += length;
    check(bytes, std::ssize(names));
  }
}

void run_sheaf(benchmark::State& state, std::int64_t n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  runtime.run(rounds(state, files(n)));
  bench::report(state, n);
}

void run_tbb(benchmark::State& state, std::int64_t n, int workers) {
  bench::tbb_pool pool(workers);
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(n));
  const auto& names = files(n);
  pool.run([&] {
    for (auto _ : state) {
      tbb::task_group group;
      for (std::size_t i = 0; i < names.size(); ++i) group.run([&, i] { lengths[i] = read_file(names[i]); });
      group.wait();
      std::int64_t bytes = 0;
      for (const auto length : lengths) bytes += length;
      check(bytes, n);
    }
  });
  bench::report(state, n);
}

void run_std_async(benchmark::State& state, std::int64_t n, int) {
  const auto& names = files(n);
  for (auto _ : state) {
    std::int64_t bytes = 0;
    std::vector<std::future<std::int64_t>> reads;
    for (std::size_t i = 0; i < names.size(); ++i) {
      reads.push_back(std::async(std::launch::async, read_file, std::cref(names[i])));
      if (reads.size() < k_at_once && i + 1 < names.size()) continue;
      for (auto& each : reads) bytes += each.get();
      reads.clear();
    }
    check(bytes, n);
  }
  bench::report(state, n);
}

#ifdef SHEAF_BENCH_LIBUV
struct uv_reading {
  uv_work_t work;
  uv_fs_t request;
  uv_file file = -1;
  char buffer[k_file_size];
  const std::string* name = nullptr;
  std::int64_t* bytes = nullptr;
};

void queue_work(uv_loop_t& loop, uv_reading& one) {
  one.work.data = &one;
  const auto read = [](uv_work_t* work) {
    auto& self = *static_cast<uv_reading*>(work->data);
    self.file = static_cast<uv_file>(read_file(*self.name));
  };
  const auto ended = [](uv_work_t* work, int) {
    auto& self = *static_cast<uv_reading*>(work->data);
    *self.bytes += self.file;
  };
  uv_queue_work(&loop, &one.work, read, ended);
}

void open_read_close(uv_loop_t& loop, uv_reading& one) {
  one.request.data = &one;
  uv_fs_open(&loop, &one.request, one.name->c_str(), O_RDONLY | O_CLOEXEC, 0, [](uv_fs_t* request) {
    auto& self = *static_cast<uv_reading*>(request->data);
    self.file = static_cast<uv_file>(request->result);
    uv_loop_t* const on = request->loop;
    uv_fs_req_cleanup(request);
    const uv_buf_t into = uv_buf_init(self.buffer, sizeof self.buffer);
    uv_fs_read(on, request, self.file, &into, 1, 0, [](uv_fs_t* reading) {
      auto& mine = *static_cast<uv_reading*>(reading->data);
      *mine.bytes += reading->result;
      uv_loop_t* const loop_of_it = reading->loop;
      uv_fs_req_cleanup(reading);
      uv_fs_close(loop_of_it, reading, mine.file, [](uv_fs_t* closing) { uv_fs_req_cleanup(closing); });
    });
  });
}

/// `AtOnce`: requests in flight, 0 for all.
template <void (*Begin)(uv_loop_t&, uv_reading&), std::size_t AtOnce>
void run_libuv(benchmark::State& state, std::int64_t n, int) {
  uv_loop_t loop;
  bench::check(uv_loop_init(&loop), 0, "uv_loop_init");
  const auto& names = files(n);
  std::vector<uv_reading> readings(names.size());
  for (auto _ : state) {
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      readings[i].name = &names[i];
      readings[i].bytes = &bytes;
      Begin(loop, readings[i]);
      if (AtOnce != 0 && (i + 1) % AtOnce == 0) uv_run(&loop, UV_RUN_DEFAULT);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    check(bytes, n);
  }
  uv_loop_close(&loop);
  bench::report(state, n);
}
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({20'000}, {500}), {2}};
  bench::add("blocking", "sheaf", run_sheaf, over);
  bench::add("blocking", "tbb", run_tbb, over);
  bench::add("blocking", "std_async", run_std_async, over);
#ifdef SHEAF_BENCH_LIBUV
  bench::add("blocking", "libuv", run_libuv<queue_work, 0>, over);
  bench::add("blocking", "libuv_fs", run_libuv<open_read_close, k_at_once>, over);
#endif
  return bench::run(argc, argv);
}
