// A host with a loop of its own (a game, a GUI, a reactor) runs Sheaf's tasks between two frames, on its own thread.
#include <sheaf/inline_executor.hpp>
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <cstdio>
#include <thread>

using namespace std::chrono_literals;

int load_level(int number) { return number * 100; }  // imagine files being read

/// Runs on the host's thread, so it may touch what only that thread may touch: no locks. The blocking call does not hold up a frame.
sheaf::coro<int> play(int* score) {
  for (int level = 1; level <= 3; ++level) {
    *score += co_await sheaf::spawn_blocking(load_level, level);
    co_await sheaf::sleep_for(5ms);
  }
  co_return *score;
}

int main() {
  int score = 0;
  sheaf::inline_executor host;  // made by the thread that will poll it
  sheaf::runtime_options options;
  options.executor = &host;
  sheaf::runtime tasks(options);

  const sheaf::task<int> game = tasks.spawn(play, &score);
  const std::thread::id host_thread = std::this_thread::get_id();
  const auto where = tasks.spawn([] { return std::this_thread::get_id(); });

  int frames = 0;
  while (!game.done()) {
    host.poll(8);  // at most eight steps per frame
    ++frames;      // draw the frame
    std::this_thread::sleep_for(1ms);
  }
  std::printf("score %d; more than one frame: %s; tasks ran on the host's thread: %s\n", game.result(), frames > 1 ? "yes" : "no",
              where.result() == host_thread ? "yes" : "no");
}
