/// Who is told when a task completes: every node by the closer or by its owner, never both.
#include <sheaf/detail/result.hpp>
#include <sheaf/detail/waiter_list.hpp>

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <thread>
#include <vector>

namespace sheaf::detail {
namespace {

struct noted : waiter_node {
  noted() : waiter_node([](waiter_node& node, outcome_kind) noexcept { ++static_cast<noted&>(node).notified; }) {}
  int notified = 0;
};

int deliver(waiter_node* node) {
  int delivered = 0;
  while (node != nullptr) {
    waiter_node* const next = node->next;
    node->notify(*node, outcome_kind::value);
    node = next;
    ++delivered;
  }
  return delivered;
}

TEST(WaiterList, CloseTakesAllFirstRegisteredFirst) {
  waiter_list list;
  std::array<noted, 4> nodes;
  for (noted& each : nodes) ASSERT_TRUE(list.add(each));
  EXPECT_EQ(list.size(), 4U);
  waiter_node* node = list.close();
  for (noted& each : nodes) {
    ASSERT_EQ(node, &each);
    node = node->next;
  }
  EXPECT_EQ(node, nullptr);
}

TEST(WaiterList, AddAfterCloseIsRefused) {
  waiter_list list;
  EXPECT_EQ(list.close(), nullptr);
  noted late;
  EXPECT_FALSE(list.add(late));
  EXPECT_EQ(list.size(), 0U);
}

TEST(WaiterList, RemoveAfterCloseLeavesTheNodeToTheCloser) {
  waiter_list list;
  noted node;
  ASSERT_TRUE(list.add(node));
  waiter_node* const taken = list.close();
  EXPECT_FALSE(list.remove(node));
  EXPECT_EQ(deliver(taken), 1);
  EXPECT_EQ(node.notified, 1);
}

/// Every set of leavers out of four, in both directions.
TEST(WaiterList, AnySubsetMayLeaveInAnyPlace) {
  for (unsigned leavers = 0; leavers < 16; ++leavers) {
    for (const bool backwards : {false, true}) {
      waiter_list list;
      std::array<noted, 4> nodes;
      for (noted& each : nodes) ASSERT_TRUE(list.add(each));
      for (unsigned i = 0; i < 4; ++i) {
        const unsigned index = backwards ? 3 - i : i;
        if ((leavers >> index & 1) != 0) ASSERT_TRUE(list.remove(nodes[index]));
      }
      deliver(list.close());
      for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(nodes[i].notified, (leavers >> i & 1) != 0 ? 0 : 1) << "leavers " << leavers;
    }
  }
}

TEST(WaiterList, ANodeThatLeftMayComeBack) {
  waiter_list list;
  noted node;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(list.add(node));
    ASSERT_EQ(list.size(), 1U);
    ASSERT_TRUE(list.remove(node));
  }
  EXPECT_EQ(list.close(), nullptr);
}

TEST(WaiterList, LeavingAndClosingAtOnceServeEachNodeOnce) {
  for (int round = 0; round < 300; ++round) {
    waiter_list list;
    std::vector<std::unique_ptr<noted>> nodes;
    for (int i = 0; i < 16; ++i) ASSERT_TRUE(list.add(*nodes.emplace_back(std::make_unique<noted>())));
    std::vector<bool> left(nodes.size());
    std::thread leaver([&] {
      for (std::size_t i = 0; i < nodes.size(); i += 2) left[i] = list.remove(*nodes[i]);
    });
    deliver(list.close());
    leaver.join();
    for (std::size_t i = 0; i < nodes.size(); ++i) ASSERT_EQ(nodes[i]->notified, left[i] ? 0 : 1);
  }
}

TEST(WaiterList, JoiningWhileClosingIsServedOrRefused) {
  for (int round = 0; round < 300; ++round) {
    waiter_list list;
    std::array<noted, 16> nodes;
    std::array<bool, 16> added{};
    std::thread joiner([&] {
      for (std::size_t i = 0; i < nodes.size(); ++i) added[i] = list.add(nodes[i]);
    });
    waiter_node* const taken = list.close();
    joiner.join();
    deliver(taken);
    for (std::size_t i = 0; i < nodes.size(); ++i) ASSERT_EQ(nodes[i].notified, added[i] ? 1 : 0);
  }
}

}  // namespace
}  // namespace sheaf::detail
