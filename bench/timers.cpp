/// @file
/// What do timers cost that never fire? N are armed, spread over the next quarter of an hour, then all are taken back.
///
/// sheaf  the runtime's timers, as every sleep and every limit uses them (private headers: no timer is public)
/// asio   `steady_timer::async_wait`, `cancel`, and the handlers that are called with operation_aborted
/// libuv  `uv_timer_start`, `uv_timer_stop` on a loop that does not run

#include <sheaf/detail/timer.hpp>

#include <chrono>
#include <deque>
#include <vector>

#include "support/check.hpp"
#include "support/peers.hpp"
#include "support/registry.hpp"
#include "timer_queue.hpp"

namespace {

/// When the i-th of them would fire: all different, in no order.
std::chrono::milliseconds due(std::int64_t i) { return std::chrono::minutes(1) + std::chrono::milliseconds(i * 7919 % 900'000); }

void run_sheaf(benchmark::State& state, std::int64_t n, int) {
  sheaf::detail::timer_queue queue({});
  std::deque<sheaf::detail::timer> timers;
  for (std::int64_t i = 0; i < n; ++i) timers.emplace_back(nullptr);
  for (auto _ : state) {
    const auto now = queue.now();
    std::int64_t i = 0, taken_back = 0;
    for (auto& each : timers) queue.arm(each, now + std::chrono::nanoseconds(due(i++)).count());
    for (auto& each : timers) taken_back += queue.disarm(each) ? 1 : 0;
    bench::check(taken_back, n, "timers");
  }
  bench::report(state, n);
}

#ifdef SHEAF_BENCH_ASIO
void run_asio(benchmark::State& state, std::int64_t n, int) {
  asio::io_context context(1);
  std::deque<asio::steady_timer> timers;
  for (std::int64_t i = 0; i < n; ++i) timers.emplace_back(context);
  for (auto _ : state) {
    std::int64_t i = 0, taken_back = 0;
    for (auto& each : timers) {
      each.expires_after(due(i++));
      each.async_wait(
          [&taken_back](const asio::error_code& error) { taken_back += error == asio::error::operation_aborted ? 1 : 0; });
    }
    for (auto& each : timers) each.cancel();
    context.restart();
    context.run();
    bench::check(taken_back, n, "timers");
  }
  bench::report(state, n);
}
#endif

#ifdef SHEAF_BENCH_LIBUV
void run_libuv(benchmark::State& state, std::int64_t n, int) {
  uv_loop_t loop;
  bench::check(uv_loop_init(&loop), 0, "uv_loop_init");
  std::vector<uv_timer_t> timers(static_cast<std::size_t>(n));
  for (auto& each : timers) uv_timer_init(&loop, &each);
  for (auto _ : state) {
    std::int64_t i = 0, taken_back = 0;
    uv_update_time(&loop);
    for (auto& each : timers) uv_timer_start(&each, [](uv_timer_t*) {}, static_cast<std::uint64_t>(due(i++).count()), 0);
    for (auto& each : timers) {
      uv_timer_stop(&each);
      taken_back += uv_is_active(reinterpret_cast<uv_handle_t*>(&each)) ? 0 : 1;
    }
    bench::check(taken_back, n, "timers");
  }
  for (auto& each : timers) uv_close(reinterpret_cast<uv_handle_t*>(&each), nullptr);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
  bench::report(state, n);
}
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({100, 1'000, 10'000, 100'000, 1'000'000}, {100, 1'000}), {1}};
  bench::add("timers", "sheaf", run_sheaf, over);
#ifdef SHEAF_BENCH_ASIO
  bench::add("timers", "asio", run_asio, over);
#endif
#ifdef SHEAF_BENCH_LIBUV
  bench::add("timers", "libuv", run_libuv, over);
#endif
  return bench::run(argc, argv);
}
