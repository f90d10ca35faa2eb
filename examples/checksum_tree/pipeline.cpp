#include "pipeline.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "walk.hpp"

namespace checksum {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t k_write_at = 64 * 1024;
constexpr auto k_report_interval = 100ms;

/// Every file in flight may have a buffer: with many of them buffers are smaller, so that all together stay within 32 MiB.
std::size_t buffer_size(unsigned jobs) {
  constexpr std::size_t k_page = 4096;
  const std::size_t share = (std::size_t{32} << 20) / jobs;
  return std::clamp(share / k_page * k_page, k_page, 128 * k_page);
}

/// What is rationed.
struct limits {
  sheaf::semaphore files;    ///< in flight
  sheaf::semaphore streams;  ///< of them, those larger than a buffer that are being read on: as many as there are workers
};

struct file_report {
  std::string path;
  digest sum{};
  std::string failure;  ///< empty: `sum` is valid
};

void hash_chunk(session& run, sha256& hash, const chunk& piece) {
  hash.update(piece.bytes());
  run.shown.count_bytes(piece.size);
}

/// The rest of a large file. While a worker has no file of its own, the next chunk is read during the hashing of this one; when all are
/// busy that would only put two threads on one core. A read owns its file and memory and hands them back, so it may be dropped early.
sheaf::coro<digest> hash_stream(session* run, limits* ration, chunk piece) {
  sha256 hash;
  while (!piece.last) {
    const bool read_ahead = ration->streams.available() != 0;
    if (!read_ahead) hash_chunk(*run, hash, piece);
    auto next = sheaf::spawn_blocking(read_next_chunk, std::move(piece.rest), run->buffers);
    if (read_ahead) hash_chunk(*run, hash, piece);
    piece = co_await std::move(next);
  }
  hash_chunk(*run, hash, piece);
  co_return hash.finish();
}

/// Blocking threads read, and the coroutine hashes, on a worker. A file that fits a buffer takes one blocking call. The limit on time
/// does not count how long a large file waits for its turn.
sheaf::coro<digest> hash_file(session* run, limits* ration, std::string path) {
  const sheaf::time_limit limit = run->chosen.file_timeout;
  auto opening = sheaf::spawn_blocking(read_first_chunk, std::move(path), run->buffers);
  chunk first = co_await sheaf::wait_for(std::move(opening), limit);
  if (first.last) {
    sha256 hash;
    hash_chunk(*run, hash, first);
    co_return hash.finish();
  }
  const sheaf::permit turn = co_await ration->streams.acquire();
  co_return co_await sheaf::wait_for(hash_stream(run, ration, std::move(first)), limit);
}

/// The permit goes with the task: its end lets the next file in.
sheaf::coro<file_report> checksum_file(session* run, limits* ration, std::string path, sheaf::permit) {
  file_report report;
  report.path = std::move(path);
  try {
    report.sum = co_await hash_file(run, ration, report.path);
  } catch (const sheaf::timeout_error&) {
    report.failure = fmt::format("timed out after {} s", run->chosen.file_timeout->count());
  } catch (const std::system_error& error) {
    report.failure = error.code().message();
  }
  co_return report;
}

void record(session& run, file_report report) {
  if (!report.failure.empty()) {
    run.shown.report_failure(report.path, report.failure);
    return;
  }
  run.shown.count_file();
  run.found.add(std::move(report.path), report.sum);
}

void write_lines(sheaf::cancel_token token, session* run) {
  run->found.flush([&token] { return token.requested(); });
}

/// Walks the tree and starts a task for each file as permits come free; what has completed meanwhile is recorded on the way.
sheaf::coro<void> feed(session* run, limits* ration, sheaf::completion_queue<file_report>* completed, sheaf::task_group* group) {
  batch_walk batches(run->chosen.paths);
  for (;;) {
    auto batch = co_await batches.next();
    if (!batch) break;
    for (const failure& each : batch->failures) run->shown.report_failure(each.path, each.reason);
    for (std::string& path : batch->files) {
      auto permit = co_await ration->files.acquire();
      completed->add(group->spawn(checksum_file, run, ration, std::move(path), std::move(permit)));
      while (auto file = completed->try_next()) record(*run, std::move(*file).get());
      if (run->found.buffered() >= k_write_at) co_await sheaf::spawn_blocking(write_lines, run);
    }
  }
  for (;;) {
    auto file = co_await completed->next();
    if (!file) break;
    record(*run, co_await std::move(*file));
  }
}

/// For the progress bar alone: how much there is to do.
sheaf::coro<void> count(session* run) {
  const tree_size size = co_await sheaf::spawn_blocking(count_tree, run->chosen.paths);
  run->shown.set_total(size.files, size.bytes);
}

sheaf::coro<void> report_regularly(session* run) {
  for (;;) {
    co_await sheaf::sleep_for(k_report_interval);
    run->shown.draw_bar();
    if (run->found.buffered() != 0) co_await sheaf::spawn_blocking(write_lines, run);
  }
}

/// The body of the task group. Its children use nothing of it: what they refer to outlives the group.
sheaf::coro<void> hash_and_report(session* run, limits* ration, sheaf::completion_queue<file_report>* completed,
                                  sheaf::task_group& group) {
  std::vector<sheaf::task<>> companions;
  companions.push_back(group.spawn(report_regularly, run));
  if (run->shown.has_bar()) companions.push_back(group.spawn(count, run));
  co_await feed(run, ration, completed, &group);
  for (const auto& each : companions) each.cancel();
}

sheaf::coro<void> hash_tree(session* run) {
  const auto workers = static_cast<std::ptrdiff_t>(sheaf::runtime::current()->metrics().workers);
  limits ration{sheaf::semaphore(run->chosen.jobs), sheaf::semaphore(workers)};
  sheaf::completion_queue<file_report> completed;
  auto body = [&](sheaf::task_group& group) { return hash_and_report(run, &ration, &completed, group); };
  co_await sheaf::with_task_group(body);
}

}  // namespace

session::session(options given)
    : chosen(std::move(given)),
      buffers(std::make_shared<buffer_pool>(buffer_size(chosen.jobs))),
      found(chosen.order, STDOUT_FILENO) {}

sheaf::coro<void> checksum_tree(session* run) { co_await sheaf::wait_for(hash_tree(run), run->chosen.timeout); }

}  // namespace checksum
