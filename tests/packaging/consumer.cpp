#include <sheaf/sheaf.hpp>

sheaf::coro<int> half(int n) { co_return n / 2; }

sheaf::coro<int> answer() {
  auto [a, b] = co_await sheaf::gather(half(42), sheaf::spawn([] { return 21; }));
  co_return a + b;
}

int main() { return sheaf::run(answer()) == 42 ? 0 : 1; }
