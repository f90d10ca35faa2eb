#pragma once
/// @file
/// A task whose work is a callable with its arguments, run in one step.

#include <functional>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include <sheaf/cancel_token.hpp>
#include <sheaf/detail/frame_cache.hpp>
#include <sheaf/detail/promise.hpp>
#include <sheaf/detail/start.hpp>

namespace sheaf::detail {

/// Calls `f(cancel_token, args...)` where that is possible, else `f(args...)`.
template <class F, class... Args>
inline constexpr bool takes_token = std::is_invocable_v<std::decay_t<F>&&, cancel_token, std::decay_t<Args>&&...>;
template <class F, class... Args>
inline constexpr bool is_callable_work =
    takes_token<F, Args...> || std::is_invocable_v<std::decay_t<F>&&, std::decay_t<Args>&&...>;

template <bool Token, class F, class... Args>
struct call_result_of : std::invoke_result<std::decay_t<F>&&, std::decay_t<Args>&&...> {};
template <class F, class... Args>
struct call_result_of<true, F, Args...> : std::invoke_result<std::decay_t<F>&&, cancel_token, std::decay_t<Args>&&...> {};
template <class F, class... Args>
using call_result_t = typename call_result_of<takes_token<F, Args...>, F, Args...>::type;

/// The task's result type: lvalue references stay, everything else is a plain object.
template <class R>
using task_value_t = std::conditional_t<std::is_lvalue_reference_v<R>, R, std::remove_cvref_t<R>>;

/// The second queue entry of a blocking call: posted once, by the first cancel that finds it waiting for a thread.
struct retire_entry final : work_item {
  explicit retire_entry(function run) noexcept : work_item(run) {}
  task_core* core = nullptr;
  sync::atomic<bool> posted{false};
};
void run_retirement(work_item& item) noexcept;

enum class runs_on { workers, blocking_threads };

template <runs_on Where, class F, class... Args>
class callable_task {
  using result = call_result_t<F, Args...>;
  using value = task_value_t<result>;
  static constexpr bool k_blocking = Where == runs_on::blocking_threads;
  struct no_entry {
    explicit no_entry(work_item::function) noexcept {}
  };
  struct work {
    template <class G, class... A>
    explicit work(G&& g, A&&... a) : callable(std::forward<G>(g)), arguments(std::forward<A>(a)...) {}
    [[no_unique_address]] std::decay_t<F> callable;
    [[no_unique_address]] std::tuple<std::decay_t<Args>...> arguments;
  };
  struct body {
    template <class G, class... A>
    explicit body(G&& g, A&&... a) : entry(&run_retirement) {
      ::new (static_cast<void*>(&calls)) work(std::forward<G>(g), std::forward<A>(a)...);
    }
    ~body() {}
    [[no_unique_address]] std::conditional_t<k_blocking, retire_entry, no_entry> entry;
    union {
      work calls;  ///< destroyed by destroy_work, before the entry
    };
  };
  static_assert(
      alignof(body) <= alignof(std::max_align_t),
      "sheaf: spawned callables and their arguments cannot be over-aligned; pass a std::unique_ptr to the data instead");
  static constexpr std::size_t k_bytes = k_block_header<value> + sizeof(body);

  static body& body_of(task_core& core) noexcept {
    return *std::launder(reinterpret_cast<body*>(reinterpret_cast<std::byte*>(&core) + k_block_header<value>));
  }
  static work& work_of(task_core& core) noexcept { return body_of(core).calls; }

  static void run(task_core& core) noexcept {
    auto& slot = slot_of<value>(core);
    core.after = step_end::finished;
    try {
      auto call = [&core](auto&&... arguments) -> result {
        if constexpr (takes_token<F, Args...>) {
          return std::invoke(std::move(work_of(core).callable), cancel_token(core), std::move(arguments)...);
        } else {
          return std::invoke(std::move(work_of(core).callable), std::move(arguments)...);
        }
      };
      if constexpr (std::is_void_v<result>) {
        std::apply(call, work_of(core).arguments);
        slot.emplace();
      } else if constexpr (std::is_lvalue_reference_v<result>) {
        slot.emplace(std::addressof(std::apply(call, work_of(core).arguments)));
      } else {
        slot.emplace(std::apply(call, work_of(core).arguments));
      }
    } catch (...) {
      slot.clear();
      slot.capture_current_exception();
    }
  }
  static void destroy_work(task_core& core) noexcept { std::destroy_at(&work_of(core)); }
  static void destroy_block(task_core& core) noexcept {
    release_extras(core);
    std::destroy_at(&body_of(core));
    std::destroy_at(&slot_of<value>(core));
    std::destroy_at(&core);
    free_block(&core, k_bytes);
  }
  static void destroy_outcome(task_core& core) noexcept { slot_of<value>(core).clear(); }
  static work_item* retire_item(task_core& core) noexcept {
    if constexpr (k_blocking) {
      retire_entry& entry = body_of(core).entry;
      // Relaxed: the flag alone decides who posts; the queue publishes the entry.
      return entry.posted.exchange(true, sync::relaxed) ? nullptr : &entry;
    } else {
      return nullptr;
    }
  }
  static constexpr task_ops ops{&run, &destroy_work, &destroy_block, &destroy_outcome, &retire_item};

 public:
  using value_type = value;

  static std::decay_t<F>& callable_of(task_core& core) noexcept { return work_of(core).callable; }
  template <class G, class... A>
  static task_core& make(task_state::word initial, G&& callable, A&&... arguments) {
    auto* const block = static_cast<std::byte*>(allocate_block(k_bytes));
    try {
      ::new (static_cast<void*>(block + k_block_header<value>)) body(std::forward<G>(callable), std::forward<A>(arguments)...);
    } catch (...) {
      free_block(block, k_bytes);
      throw;
    }
    ::new (static_cast<void*>(block + sizeof(task_core))) result_slot<value>();
    auto& core = *::new (static_cast<void*>(block)) task_core(initial, &run_task, ops);
    core.blocking = k_blocking;
    if constexpr (k_blocking) body_of(core).entry.core = &core;
    return core;
  }
};

}  // namespace sheaf::detail
