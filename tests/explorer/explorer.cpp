/// @file
/// The doors of the explorer: explore() for programs, the functions of hooks.hpp for the machine.

#include "explorer/explorer.hpp"

#include <sched.h>

#include <csignal>

#include "explorer/hooks.hpp"
#include "explorer/sites.hpp"
#include "explorer/thread_sanitizer.hpp"
#include "explorer/world.hpp"

extern "C" void __sanitizer_set_death_callback(void (*)(void)) __attribute__((weak));

extern "C" const char* __tsan_default_options() { return "halt_on_error=1"; }

namespace explorer {

namespace {

world* the_world = nullptr;
site_table the_sites;

void died_of_signal(int signal) {
  std::signal(signal, SIG_DFL);
  if (the_world != nullptr) the_world->print_failure(signal == SIGABRT ? "aborted" : "died of a signal");
  std::raise(signal);
}
void died_of_report() {
  if (the_world != nullptr) the_world->print_failure("a sanitizer's report");
}
}  // namespace

report explore(std::string_view name, const std::function<void()>& scenario, const options& how) {
  static const bool prepared = [] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(sched_getcpu()), &one);
    sched_setaffinity(0, sizeof one, &one);  // only one thread moves: a baton that stays on one core is faster
    for (const int each : {SIGABRT, SIGSEGV, SIGBUS}) std::signal(each, &died_of_signal);
    if (&__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(&died_of_report);
    return true;
  }();
  static_cast<void>(prepared);
  options possible = how;
  possible.late_stores = how.late_stores && !looks_for_races();
  world here;
  the_world = &here;
  const report told = here.explore(name, scenario, possible);
  the_world = nullptr;
  return told;
}

void check(bool holds, std::string_view what) {
  if (!holds) the_world->fail(what);
}
void set_thread_reset(void (*reset)()) noexcept { reset_thread = reset; }

void weaken(const operation_site& site) { the_sites.weaken(site); }
void count_sites() { the_sites.count(); }
std::vector<operation_site> sites() { return the_sites.all(); }
bool looks_for_races() noexcept { return thread_sanitizer::is_here(); }

std::memory_order order_at(const std::source_location& site, operation kind, std::memory_order own) noexcept {
  if (self == nullptr || the_sites.idle()) return own;
  const thread_sanitizer::unseen here;
  return the_sites.order_at(site, kind, own);
}

namespace {

/// What the explored thread asks for, out of ThreadSanitizer's sight.
template <class Ask>
auto unseen(Ask ask) noexcept {
  const thread_sanitizer::unseen here;
  return ask(*the_world);
}

}  // namespace

void point(operation kind, const void* where) noexcept {
  if (self != nullptr) unseen([=](world& in) { in.point(kind, where); });
}
void has_read(const void* where) noexcept {
  if (self != nullptr) unseen([=](world& in) { in.has_read(where); });
}
void has_written(const void* where) noexcept {
  if (self != nullptr) unseen([=](world& in) { in.has_written(where, *self); });
}
bool buffer_store(void* where, const void* value, std::size_t size, std::memory_order order) noexcept {
  return self != nullptr && unseen([=](world& in) { return in.buffer_store(where, value, size, order); });
}
bool buffer_update(void* where, const void* value, std::size_t size, std::memory_order order) noexcept {
  return self != nullptr && unseen([=](world& in) { return in.buffer_update(where, value, size, order); });
}
bool read_own_store(const void* where, void* value, std::size_t size) noexcept {
  return self != nullptr && unseen([=](world& in) { return in.read_own_store(where, value, size); });
}
void drain() noexcept {
  if (self != nullptr) unseen([](world& in) { in.drain(*self); });
}
void drain_before(const void* where, std::memory_order order) noexcept {
  if (self != nullptr) unseen([=](world& in) { in.drain_before(where, order); });
}
void drain_all() noexcept {
  if (self != nullptr) unseen([](world& in) { in.drain_all(); });
}
void uses(void* where, std::size_t size) noexcept {
  if (self != nullptr) unseen([=](world& in) { in.uses(where, size); });
}
void born(const void* where) noexcept {
  if (self != nullptr) unseen([=](world& in) { in.born(where); });
}
void gone(const void* where) noexcept {
  if (self != nullptr) unseen([=](world& in) { in.gone(where); });
}
void lock(std::uint32_t* word) noexcept {
  if (self == nullptr) return;
  unseen([=](world& in) { in.lock(word); });
  thread_sanitizer::acquire(word);
}
void unlock(std::uint32_t* word) noexcept {
  if (self == nullptr) return;
  thread_sanitizer::release(word);
  unseen([=](world& in) { in.unlock(word); });
}
void futex_wait(const void* where, const std::uint32_t* word, std::uint32_t expected, std::int64_t deadline) noexcept {
  if (self != nullptr) unseen([=](world& in) { in.futex_wait(where, word, expected, deadline); });
}
void futex_wake(const void* where, unsigned how_many) noexcept {
  if (self != nullptr) unseen([=](world& in) { in.futex_wake(where, how_many); });
}
std::int64_t now() noexcept {
  return self != nullptr ? unseen([](world& in) { return in.now(); }) : 0;
}
void pause() noexcept {
  if (self != nullptr) unseen([](world& in) { in.pause(); });
}
unsigned start_thread(entry run, void* argument) {
  const unsigned id = unseen([=](world& in) { return in.start_thread(run, argument); });
  thread_sanitizer::release(the_world->thread(id));
  return id;
}
void join_thread(unsigned id) noexcept {
  unseen([=](world& in) { in.join_thread(id); });
  thread_sanitizer::acquire(the_world->thread(id));
}

}  // namespace explorer
