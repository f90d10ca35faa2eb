#pragma once
/// @file
/// What the replaced machine (machine/sheaf/detail/machine.hpp) asks of the explorer. On a thread that is not explored all of it is passed
/// over: static objects are made and read as ever.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <source_location>

namespace explorer {

enum class operation : std::uint8_t {
  load,
  store,
  update,
  failed_update,
  lock,
  unlock,
  wait,
  wake,
  start,
  join,
  clock,
  barrier,
  pause
};

/// The order of the operation at this site: its own, or the weaker one that is tried there.
[[nodiscard]] std::memory_order order_at(const std::source_location& site, operation kind, std::memory_order own) noexcept;
/// Before an operation: the schedule decides who goes on, and this returns when it is this thread's turn.
void point(operation kind, const void* where) noexcept;
/// After it: what this thread has seen, or changed, for telling equal states.
void has_read(const void* where) noexcept;
void has_written(const void* where) noexcept;

/// True: the store stays in this thread's buffer for now.
bool buffer_store(void* where, const void* value, std::size_t size, std::memory_order order) noexcept;
/// The same for what an update writes, having read what is there.
bool buffer_update(void* where, const void* value, std::size_t size, std::memory_order order) noexcept;
/// True: `value` is what this thread has stored itself and nobody else sees yet.
bool read_own_store(const void* where, void* value, std::size_t size) noexcept;
/// This thread's stores become visible.
void drain() noexcept;
/// Those that must not come after a store to `where` do.
void drain_before(const void* where, std::memory_order order) noexcept;
/// Everybody's do.
void drain_all() noexcept;

/// The object at `where` is about to be used. One that did not begin in this run is put back to what it is now when the run is over.
void uses(void* where, std::size_t size) noexcept;

/// An atomic object begins and ends at `where`.
void born(const void* where) noexcept;
void gone(const void* where) noexcept;

/// Until `*word` is 0; sets it to 1.
void lock(std::uint32_t* word) noexcept;
void unlock(std::uint32_t* word) noexcept;
/// While `*word == expected`, until woken or until `deadline`.
void futex_wait(const void* where, const std::uint32_t* word, std::uint32_t expected, std::int64_t deadline) noexcept;
void futex_wake(const void* where, unsigned how_many) noexcept;
[[nodiscard]] std::int64_t now() noexcept;
/// This thread spins: it goes on once another one has written something.
void pause() noexcept;

using entry = void (*)(void*) noexcept;
[[nodiscard]] unsigned start_thread(entry run, void* argument);
void join_thread(unsigned id) noexcept;

}  // namespace explorer
