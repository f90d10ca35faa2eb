// A coroutine, a task and a callable: what runs where, and how results come back.
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

/// Nothing happens when it is called: a coroutine starts when it is awaited or spawned.
sheaf::coro<std::string> greeting(std::string name) {
  co_await sheaf::sleep_for(10ms);  // no thread waits
  co_return "Hello, " + name + "!";
}

int square(int x) { return x * x; }

sheaf::coro<> hello() {
  // Awaited: it runs as part of this task, like a function call.
  std::printf("%s\n", (co_await greeting("coroutine")).c_str());

  // Spawned: they are tasks of their own, running beside this one. Arguments are copied into the task.
  sheaf::task<std::string> text = sheaf::spawn(sheaf::spawn_options{.name = "greeter"}, greeting, std::string("task"));
  sheaf::task<int> number = sheaf::spawn(square, 12);
  std::printf("%s %d\n", (co_await text).c_str(), co_await number);

  // A handle can be read again: `text` was awaited as an lvalue, which only observes.
  std::printf("%s has %s\n", text.name().c_str(), std::string(to_string(text.status())).c_str());
}

int main() { sheaf::run(hello()); }
