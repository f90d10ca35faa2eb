/// The places that keep live tasks: found again, reused, walked while tasks come and go, closed for good.
#include "live_tasks.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/detail/start.hpp>

#include "support/children.hpp"

namespace sheaf::detail {
namespace {

constexpr std::size_t k_first_chunk = 256;

/// Tasks that only their addresses and words are wanted of.
class made_tasks {
 public:
  explicit made_tasks(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      all_.push_back(std::make_unique<task_core>(task_state::initial_posted, &never_run, k_ops));
  }
  [[nodiscard]] task_core& operator[](std::size_t i) { return *all_[i]; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }

 private:
  static void never_run(work_item&) noexcept { std::abort(); }
  static constexpr task_ops k_ops{nullptr, nullptr, nullptr, nullptr};
  std::vector<std::unique_ptr<task_core>> all_;
};

std::set<task_core*> tasks_in(const live_table& table) {
  std::set<task_core*> found;
  const auto insert = [&found](task_core& task) { EXPECT_TRUE(found.insert(&task).second); };
  std::size_t at = 0, few = 7;
  while (table.walk(at, few, insert)) few = 7;
  return found;
}

// ---- the table ---------------------------------------------------------------------------------------------------------------

TEST(LiveTable, AnEmptyOneHasNothing) {
  const live_table table;
  EXPECT_TRUE(tasks_in(table).empty());
}

TEST(LiveTable, WalksWhatIsFilledAndNothingElse) {
  live_table table;
  made_tasks tasks(3 * k_first_chunk);
  std::vector<live_place*> places;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    places.push_back(&table.take());
    if (i % 3 != 0) places.back()->store(&tasks[i], sync::relaxed);  // the others stay taken
  }
  for (std::size_t i = 1; i < tasks.size(); i += 3) places[i]->store(nullptr, sync::relaxed);
  std::set<task_core*> expected;
  for (std::size_t i = 2; i < tasks.size(); i += 3) expected.insert(&tasks[i]);
  EXPECT_EQ(tasks_in(table), expected);
}

TEST(LiveTable, PlacesAreDistinctWhileTaken) {
  live_table table;
  std::set<live_place*> places;
  for (std::size_t i = 0; i < 20 * k_first_chunk; ++i) EXPECT_TRUE(places.insert(&table.take()).second);
}

TEST(LiveTable, EmptiedPlacesAreUsedAgain) {
  live_table table;
  std::set<live_place*> places;
  for (std::size_t i = 0; i < 100 * k_first_chunk; ++i) {
    live_place& place = table.take();
    place.store(nullptr, sync::relaxed);
    places.insert(&place);
  }
  EXPECT_EQ(places.size(), k_first_chunk);
}

/// P2: many that stay do not make the table grow for those that come and go.
TEST(LiveTable, DoesNotGrowBeyondThreePlacesPerTaskOfItsFullestMoment) {
  live_table table;
  constexpr std::size_t k_stay = 10'000;
  std::set<live_place*> places;
  for (std::size_t i = 0; i < k_stay; ++i) places.insert(&table.take());
  for (std::size_t i = 0; i < 100 * k_stay; ++i) {
    live_place& place = table.take();
    place.store(nullptr, sync::relaxed);
    places.insert(&place);
  }
  EXPECT_LE(places.size(), 3 * k_stay);
}

// ---- linking -----------------------------------------------------------------------------------------------------------------

struct linking : testing::Test {
  bool link(task_core& task) { return live.link(task, false, context(), nullptr) == live_tasks::linked::yes; }
  bool unlink(task_core& task) { return live.unlink(task, context(), nullptr); }
  live_tasks live{0};
};

TEST_F(linking, CountsAndSnapshotsFollow) {
  made_tasks tasks(2000);
  for (std::size_t i = 0; i < tasks.size(); ++i) ASSERT_TRUE(link(tasks[i]));
  EXPECT_EQ(live.size(), tasks.size());
  for (std::size_t i = 0; i < tasks.size(); i += 2) EXPECT_FALSE(unlink(tasks[i]));
  EXPECT_EQ(live.size(), tasks.size() / 2);
  const std::vector<task_core*> found = live.snapshot();
  EXPECT_EQ(std::set<task_core*>(found.begin(), found.end()).size(), tasks.size() / 2);
  for (task_core* const each : found) EXPECT_FALSE(each->state.drop_reference());
  for (std::size_t i = 1; i < tasks.size(); i += 2) static_cast<void>(unlink(tasks[i]));
}

TEST_F(linking, ClosedItRefusesAllButStructuredChildren) {
  made_tasks tasks(3);
  ASSERT_TRUE(link(tasks[0]));
  live.close();
  EXPECT_EQ(live.link(tasks[1], false, context(), nullptr), live_tasks::linked::refused);
  EXPECT_EQ(live.link(tasks[2], true, context(), nullptr), live_tasks::linked::yes);
  EXPECT_EQ(live.size(), 2U);
  EXPECT_FALSE(unlink(tasks[0]));
  EXPECT_TRUE(unlink(tasks[2]));  // the last one
}

TEST_F(linking, AReservedTaskIsAdmittedThoughItCloses) {
  made_tasks tasks(1);
  live.reserve(tasks[0], context(), nullptr);
  EXPECT_EQ(live.size(), 0U);
  EXPECT_TRUE(live.snapshot().empty());
  live.close();
  EXPECT_EQ(live.link_reserved(tasks[0], context(), nullptr), live_tasks::linked::yes_and_closed);
  EXPECT_EQ(live.size(), 1U);
  EXPECT_TRUE(unlink(tasks[0]));
}

/// L2: a walker holds references of tasks whose threads are about to free them.
TEST_F(linking, TasksEndWhileOthersWalk) {
  constexpr int k_threads = 3, k_rounds = 300;
  std::atomic<int> running{k_threads};
  std::vector<std::thread> threads;
  for (int t = 0; t < k_threads; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < k_rounds; ++round) {
        made_tasks tasks(20);
        for (std::size_t i = 0; i < tasks.size(); ++i) static_cast<void>(link(tasks[i]));
        for (std::size_t i = 0; i < tasks.size(); ++i) {
          static_cast<void>(unlink(tasks[i]));
          // Whoever found it still has a reference.
          while ((tasks[i].state.snapshot() & task_state::reference_mask) != 0) std::this_thread::yield();
          EXPECT_FALSE(tasks[i].state.cancel_pending());  // an acquiring look: the reference was dropped before the task goes
        }
      }
      running.fetch_sub(1);
    });
  }
  while (running.load() != 0) {
    for (task_core* const each : live.snapshot()) static_cast<void>(each->state.drop_reference());
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(live.size(), 0U);
}

/// L4: of those that end after close(), at least one sees that it was the last.
TEST_F(linking, TheLastOneToEndIsToldHoweverTheyRace) {
  for (int round = 0; round < 200; ++round) {
    live_tasks fresh(0);
    made_tasks tasks(4);
    for (std::size_t i = 0; i < tasks.size(); ++i)
      ASSERT_EQ(fresh.link(tasks[i], false, context(), nullptr), live_tasks::linked::yes);
    fresh.close();
    std::atomic<int> last{0};
    {
      test::racing_threads race;
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        race.add([&fresh, &last, &task = tasks[i]] { last += fresh.unlink(task, context(), nullptr) ? 1 : 0; });
      }
      race.go();
    }
    EXPECT_GE(last.load(), 1);
    EXPECT_EQ(fresh.size(), 0U);
  }
}

}  // namespace
}  // namespace sheaf::detail
