/// outcome<T>: exactly one of value, error and cancelled, as a value of its own.
#include <sheaf/outcome.hpp>

#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/drop_counter.hpp"

namespace sheaf {
namespace {

using test::drop_counter;

TEST(Outcome, IsAValueAnErrorOrCancelled) {
  const outcome<int> value(std::in_place, 3);
  EXPECT_TRUE(value && value.has_value() && !value.cancelled());
  EXPECT_EQ(value.value(), 3);
  EXPECT_EQ(value.error(), nullptr);

  const outcome<int> error(std::make_exception_ptr(std::runtime_error("broken")));
  EXPECT_FALSE(error || error.has_value() || error.cancelled());
  EXPECT_THROW(static_cast<void>(error.value()), std::runtime_error);

  const auto ended = outcome<int>::make_cancelled(std::make_exception_ptr(task_cancelled("task-1", "late")));
  EXPECT_TRUE(ended.cancelled());
  EXPECT_FALSE(ended.has_value());
  EXPECT_THROW(static_cast<void>(ended.value()), task_cancelled);
  EXPECT_NE(ended.error(), nullptr);
}

TEST(Outcome, EveryReadGivesTheSameErrorObject) {
  const std::exception_ptr thrown = std::make_exception_ptr(std::runtime_error("broken"));
  const outcome<std::string> error(thrown);
  const outcome<std::string> copy = error;  // NOLINT(performance-unnecessary-copy-initialization)
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(copy.value());
    } catch (...) {
      EXPECT_EQ(std::current_exception(), thrown);
    }
  }
  EXPECT_EQ(error.error(), thrown);
}

TEST(Outcome, ValuesOfEveryKind) {
  outcome<std::unique_ptr<int>> box(std::in_place, std::make_unique<int>(4));
  EXPECT_EQ(*box.value(), 4);
  EXPECT_EQ(*std::move(box).value(), 4);

  int target = 0;
  const outcome<int&> same(std::in_place, &target);
  EXPECT_EQ(&same.value(), &target);

  const outcome<void> nothing(std::in_place);
  EXPECT_TRUE(nothing.has_value());
  nothing.value();
}

TEST(Outcome, ItsValueIsDestroyedOnce) {
  drop_counter drops;
  std::vector<outcome<drop_counter::payload>> list;
  for (int i = 0; i < 5; ++i) list.emplace_back(std::in_place, drops.make(i));
  EXPECT_EQ(drops.alive(), 5);
  {
    const drop_counter::payload taken = std::move(list[2]).value();
  }
  EXPECT_EQ(drops.drops(), 1);
  list.clear();
  EXPECT_EQ(drops.drops(), 5);
}

}  // namespace
}  // namespace sheaf
