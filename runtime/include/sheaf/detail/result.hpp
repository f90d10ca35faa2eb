#pragma once
/// @file
/// Where a coroutine or task leaves its outcome: in front of its frame, so that the frame can go before the outcome is read.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace sheaf::detail {

/// What is kept for a result type: objects as they are, references as pointers, void as std::monostate.
template <class T>
struct stored {
  using type = T;
  static T take(type& kept) { return std::move(kept); }
  static const T& view(const type& kept) noexcept { return kept; }
};
template <class T>
struct stored<T&> {
  using type = T*;
  static T& take(type& kept) noexcept { return *kept; }
  static T& view(const type& kept) noexcept { return *kept; }
};
template <>
struct stored<void> {
  using type = std::monostate;
  static void take(type&) noexcept {}
  static void view(const type&) noexcept {}
};
template <class T>
using stored_t = typename stored<T>::type;
/// How an observer sees a T: `const T&`, `T&` for references, void.
template <class T>
using view_t = decltype(stored<T>::view(std::declval<const stored_t<T>&>()));

/// Copying a T compiles. std::is_copy_constructible alone says so of every container, also of one whose elements cannot be copied.
template <class T>
inline constexpr bool is_copyable = std::is_copy_constructible_v<T>;
template <class T>
  requires requires {
    typename T::allocator_type;
    typename T::value_type;
  }
inline constexpr bool is_copyable<T> = std::is_copy_constructible_v<T> && is_copyable<typename T::value_type>;
template <class A, class B>
inline constexpr bool is_copyable<std::pair<A, B>> = is_copyable<A> && is_copyable<B>;
template <class... T>
inline constexpr bool is_copyable<std::tuple<T...>> = (is_copyable<T> && ...);
template <class T>
inline constexpr bool is_copyable<std::optional<T>> = is_copyable<T>;
template <class... T>
inline constexpr bool is_copyable<std::variant<T...>> = (is_copyable<T> && ...);

enum class outcome_kind : std::uint8_t { none, value, error, cancelled };

/// The part of an outcome that needs no type, and in the eight bytes behind it, where a value would lie, the error. Written under
/// running, read after completion.
class result_header {
 public:
  result_header() = default;
  result_header(const result_header&) = delete;
  result_header& operator=(const result_header&) = delete;

  std::uint32_t block_size = 0;  ///< bytes of the allocation that this header belongs to
  outcome_kind kind = outcome_kind::none;
  bool owned = false;    ///< the coroutine object exists: the frame no longer frees the block itself
  bool borrows = false;  ///< the coroutine has reference parameters, and nobody answers for them

  [[nodiscard]] bool failed() const noexcept { return kind == outcome_kind::error; }
  /// Of kind error, or what was caught of kind cancelled; null where nothing was.
  [[nodiscard]] const std::exception_ptr& error() const noexcept {
    return *std::launder(static_cast<const std::exception_ptr*>(behind()));
  }
  /// Where no outcome is yet.
  void set_error(outcome_kind as, std::exception_ptr error) noexcept {
    ::new (const_cast<void*>(behind())) std::exception_ptr(std::move(error));
    kind = as;
  }
  /// Files the exception being handled as error or cancelled.
  void capture_current_exception() noexcept;

 protected:
  ~result_header() = default;
  void destroy_error() noexcept { std::destroy_at(&error()); }

 private:
  [[nodiscard]] const void* behind() const noexcept;
};

inline const void* result_header::behind() const noexcept {
  return reinterpret_cast<const std::byte*>(this) + sizeof(result_header);
}

template <class T>
class result_slot : public result_header {
  using kept = stored_t<T>;

 public:
  result_slot() noexcept {
    // here, not in the class: clang leaves out the rest of a class whose assertion fails, and goes on to complain of that
    static_assert(alignof(kept) <= alignof(std::max_align_t),
                  "sheaf: results cannot be over-aligned; return a std::unique_ptr to the value instead");
  }
  ~result_slot() { clear(); }

  /// Replaces what is there: a body may leave one return statement by an exception and end in another.
  template <class... Args>
  void emplace(Args&&... args) {
    clear();
    ::new (static_cast<void*>(room_)) kept(std::forward<Args>(args)...);
    kind = outcome_kind::value;
  }
  [[nodiscard]] kept& value() noexcept { return *std::launder(reinterpret_cast<kept*>(room_)); }
  void clear() noexcept {
    if (kind == outcome_kind::value) {
      std::destroy_at(&value());
    } else if (kind != outcome_kind::none) {
      destroy_error();
    }
    kind = outcome_kind::none;
  }

 private:
  alignas(alignof(kept) > alignof(std::exception_ptr) ? alignof(kept) : alignof(std::exception_ptr))
      std::byte room_[sizeof(kept) > sizeof(std::exception_ptr) ? sizeof(kept) : sizeof(std::exception_ptr)];
};

static_assert(sizeof(result_header) == alignof(std::exception_ptr) && sizeof(std::exception_ptr) == alignof(std::exception_ptr),
              "an error fits between the header and whatever follows");

}  // namespace sheaf::detail
