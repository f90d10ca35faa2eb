/// @file
/// SIGINT for run(). The handler only signals a parker; a thread of its own carries the cancel out.

#include <csignal>
#include <memory>

#include <sheaf/run.hpp>

namespace sheaf::detail {

namespace {
constexpr std::uint32_t k_interrupted = 1, k_finished = 2;
/// Static, so that a handler that is late touches nothing that has gone.
constinit sync::parker signals;
constinit sync::atomic<bool> in_charge{false};

extern "C" void sheaf_on_sigint(int) {
  if (in_charge.load(sync::relaxed)) signals.signal(k_interrupted);
}
}  // namespace

struct sigint_guard::state {
  task_core* main = nullptr;  ///< kept by a reference: a handle would keep run() from moving the result out
  sync::parker named;         ///< main is set
  sync::thread watcher;
  struct sigaction previous = {};

  static void watch(void* argument) noexcept {
    auto& self = *static_cast<state*>(argument);
    self.named.wait();
    signals.wait();
    if ((signals.signals() & k_interrupted) != 0) request_cancel(*self.main, "interrupted");
  }
};

sigint_guard::sigint_guard() {
  auto made = std::make_unique<state>();
  if (in_charge.exchange(true, sync::relaxed)) return;
  signals.reset();
  struct sigaction action = {};
  action.sa_handler = &sheaf_on_sigint;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one is immediate
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &made->previous);
  state_ = made.release();
}

void sigint_guard::watch(task_core& main) {
  if (state_ == nullptr) return;
  state_->watcher = sync::thread("sheaf-sigint", &state::watch, state_);
  main.state.add_reference();
  state_->main = &main;
  state_->named.signal();
}

sigint_guard::~sigint_guard() {
  if (state_ == nullptr) return;
  sigaction(SIGINT, &state_->previous, nullptr);
  signals.signal(k_finished);
  if (state_->watcher.joinable()) state_->watcher.join();
  in_charge.store(false, sync::relaxed);
  if (state_->main != nullptr) drop_reference(*state_->main);
  delete state_;
}

bool sigint_guard::interrupted() const noexcept { return state_ != nullptr && (signals.signals() & k_interrupted) != 0; }

}  // namespace sheaf::detail
