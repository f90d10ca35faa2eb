/// @file
/// checksum_tree: the SHA-256 of every regular file of a tree, in the format of sha256sum.
///
/// What there is to see: directories and files read by blocking threads beside hashing on all cores, a bounded number of files in
/// flight, results in the order of completion, a limit for each file and for the run, and Ctrl-C that ends all of it in order.

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <utility>

#include <sheaf/sheaf.hpp>

#include "options.hpp"
#include "pipeline.hpp"

namespace {

using namespace std::chrono_literals;

/// A reader that has stalled must not keep an interrupted run from ending.
constexpr auto k_last_words = 200ms;

/// A large file stays open while it waits for its turn: there cannot be more files in flight than descriptors.
unsigned jobs_that_fit(unsigned jobs) {
  constexpr rlim_t k_other_descriptors = 48;
  rlimit descriptors;
  if (::getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return jobs;
  const rlim_t allowed = std::exchange(descriptors.rlim_cur, descriptors.rlim_max);
  const rlim_t limit = ::setrlimit(RLIMIT_NOFILE, &descriptors) == 0 ? descriptors.rlim_max : allowed;
  const rlim_t room = limit > k_other_descriptors ? limit - k_other_descriptors : 1;
  return static_cast<unsigned>(std::min<rlim_t>(jobs, room));
}

checksum::exit_code hash_everything(checksum::session& run) {
  sheaf::runtime_options options;
  options.workers = run.chosen.workers;
  options.cancel_on_sigint = true;
  try {
    sheaf::run(checksum::checksum_tree(&run), options);
  } catch (const sheaf::interrupted&) {
    run.shown.message("interrupted: " + run.shown.summary());
    return checksum::k_interrupted;
  } catch (const sheaf::timeout_error&) {
    run.shown.message(fmt::format("timed out after {} s: {}", run.chosen.timeout->count(), run.shown.summary()));
    return checksum::k_timed_out;
  }
  run.shown.clear_bar();
  return run.shown.failures() == 0 ? checksum::k_success : checksum::k_some_failed;
}

void print_rest(checksum::session& run, checksum::exit_code code) {
  const auto deadline = std::chrono::steady_clock::now() + k_last_words;
  run.found.finish([&] { return code == checksum::k_interrupted && std::chrono::steady_clock::now() > deadline; });
}

/// A task group wraps what went wrong in it; a person wants the things themselves.
void report(checksum::session& run, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const sheaf::exception_group& group) {
    for (const std::exception_ptr& each : group.errors()) report(run, each);
  } catch (const std::exception& plain) {
    run.shown.message(plain.what());
  }
}

checksum::exit_code run_command(checksum::options chosen) {
  chosen.jobs = jobs_that_fit(chosen.jobs);
  checksum::session run(std::move(chosen));
  try {
    const checksum::exit_code code = hash_everything(run);
    print_rest(run, code);
    return code;
  } catch (const std::exception&) {
    report(run, std::current_exception());
    return checksum::k_some_failed;
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    auto chosen = checksum::parse_command_line(argc, argv);
    return chosen ? run_command(std::move(*chosen)) : checksum::k_success;
  } catch (const checksum::wrong_use& error) {
    fmt::print(stderr, "checksum_tree: {}; see checksum_tree --help\n", error.what());
    return checksum::k_wrong_use;
  }
}
