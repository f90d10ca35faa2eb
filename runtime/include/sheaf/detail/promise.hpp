#pragma once
/// @file
/// The promise of every coro<T>: allocates the block (task core and outcome in front of the frame), knows its task while it runs,
/// and on its end continues its awaiter or tells the worker's loop that the task's work is over.

#include <coroutine>
#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>

#include <sheaf/detail/closure.hpp>
#include <sheaf/detail/frame_cache.hpp>
#include <sheaf/detail/start.hpp>
#include <sheaf/detail/task_core.hpp>

namespace sheaf {
template <class T>
class coro;

namespace detail {
template <class T>
task_core& make_core(coro<T>&& work, task_state::word initial, work_item::function run) noexcept;
}
}  // namespace sheaf

namespace sheaf::detail {

/// An address whose origin the optimizer cannot trace. It must not know that the block in front of a frame belongs to the frame's
/// promise (it would take the promise's bounds for its own), nor who is destroyed where: clang places a coroutine that it sees
/// destroyed in the function that made it on that function's stack, where no block is in front of it.
[[nodiscard]] inline void* untraced(void* address) noexcept {
  asm("" : "+r"(address));
  return address;
}
inline void destroy_frame(std::coroutine_handle<> frame) noexcept {
  std::coroutine_handle<>::from_address(untraced(frame.address())).destroy();
}

struct promise_base {
  task_core* task = nullptr;             ///< the task this coroutine is part of; set when it is awaited or spawned
  std::coroutine_handle<> continuation;  ///< who awaits this coroutine; null: it is the root of its task

  struct final_awaiter {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    [[nodiscard]] std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      promise_base& promise = self.promise();
      if (promise.continuation) return hand_over(*promise.task, promise.continuation);
      promise.task->after = step_end::finished;
      return std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };

  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }
};

/// Bytes in front of the frame of a coro<T>.
template <class T>
inline constexpr std::size_t k_block_header = (sizeof(task_core) + sizeof(result_slot<T>) + alignof(std::max_align_t) - 1) /
                                              alignof(std::max_align_t) * alignof(std::max_align_t);

template <class T>
struct block_promise : promise_base {
  static void* operator new(std::size_t frame) {
    const std::size_t bytes = k_block_header<T> + frame;
    auto* const block = static_cast<std::byte*>(allocate_block(bytes));
    ::new (static_cast<void*>(block + sizeof(task_core))) result_slot<T>();
    slot_at(block).block_size = static_cast<std::uint32_t>(bytes);
    return block + k_block_header<T>;
  }
  /// Frees the block only if the coroutine object was never made (a parameter's copy threw); else its owner does.
  static void operator delete(void* frame, std::size_t) noexcept {
    auto* const block = static_cast<std::byte*>(frame) - k_block_header<T>;
    if (!slot_at(block).owned) free_coroutine_block(block);
  }
  static result_slot<T>& slot_at(std::byte* block) noexcept {
    return *std::launder(reinterpret_cast<result_slot<T>*>(block + sizeof(task_core)));
  }
  static void free_coroutine_block(std::byte* block) noexcept {
    result_slot<T>& slot = slot_at(block);
    const std::size_t bytes = slot.block_size;
    std::destroy_at(&slot);
    free_block(block, bytes);
  }

  [[nodiscard]] std::byte* block() noexcept;
  [[nodiscard]] result_slot<T>& slot() noexcept { return slot_at(block()); }

  void unhandled_exception() noexcept {
    result_slot<T>& mine = slot();
    mine.clear();
    mine.capture_current_exception();
  }
};

template <class T>
struct promise : block_promise<T> {
  coro<T> get_return_object() noexcept;
  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& value) noexcept(std::is_nothrow_constructible_v<T, U&&>) {
    this->slot().emplace(std::forward<U>(value));
  }
};

template <class T>
struct promise<T&> : block_promise<T&> {
  coro<T&> get_return_object() noexcept;
  void return_value(T& value) noexcept { this->slot().emplace(std::addressof(value)); }
};

template <>
struct promise<void> : block_promise<void> {
  coro<void> get_return_object() noexcept;
  void return_void() noexcept { slot().emplace(); }
};

/// What the parameter `P` of a coroutine refers to may be gone before the coroutine. A closure is a parameter of its body, too, but most
/// have nothing to lose.
template <class P>
inline constexpr bool borrows_parameter = std::is_reference_v<P> && !is_closure<std::remove_cvref_t<P>>();

/// The promise of a coroutine with such parameters: notes that in front of the frame, and is a promise<T> like any other.
template <class T>
struct borrowing_promise : promise<T> {
  borrowing_promise() noexcept { this->slot().borrows = true; }
};

template <class T>
std::byte* block_promise<T>::block() noexcept {
  void* const frame = std::coroutine_handle<promise<T>>::from_promise(static_cast<promise<T>&>(*this)).address();
  return static_cast<std::byte*>(untraced(frame)) - k_block_header<T>;
}

/// A task whose work is a coroutine frame.
template <class T>
struct coroutine_task {
  static std::coroutine_handle<promise<T>> frame(task_core& core) noexcept {
    return std::coroutine_handle<promise<T>>::from_address(reinterpret_cast<std::byte*>(&core) + k_block_header<T>);
  }
  static void destroy_work(task_core& core) noexcept { destroy_frame(frame(core)); }
  static void destroy_block(task_core& core) noexcept {
    auto* const block = reinterpret_cast<std::byte*>(&core);
    release_extras(core);
    std::destroy_at(&core);
    block_promise<T>::free_coroutine_block(block);
  }
  static void destroy_outcome(task_core& core) noexcept { slot_of<T>(core).clear(); }
  static void run(task_core& core) noexcept { frame(core).resume(); }
  static constexpr task_ops ops{&run, &destroy_work, &destroy_block, &destroy_outcome};
};

}  // namespace sheaf::detail
