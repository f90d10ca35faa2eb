#define MACRO co_await f([x] {})
sheaf::coro<> lambdas(std::string data) {
  co_await spawn([data] { use(data); });  // lint!
  co_await spawn([data = std::move(data), &x]() mutable { use(data); });  // lint!
  co_await spawn([&] { use(data); });
  co_await spawn([this] { use(data); });
  auto named = [data] { use(data); };
  co_await spawn(named);
  auto t = spawn([data]() -> sheaf::coro<int> { co_return co_await other(); });
  co_await std::move(t);
}
sheaf::coro<> braces(int n) {
  person p{co_await name(), 1};  // lint!
  auto both = std::array{co_await a(), co_await b()};  // lint!
  auto pair = make(co_await a(), 2);
  if (n > 0) {
    co_await a();
  }
  take({co_await a(), 1});  // lint!
}
sheaf::coro<> conditional(bool b) {
  auto s = b ? co_await left() : std::string();  // lint!
  auto t = b ? std::string() : co_await right();  // lint!
  auto u = co_await (b ? first : second);
}
sheaf::coro<> containers() {
  auto ok = std::vector<int>{};
  co_await gather(std::vector<int>{1, 2, 3});  // lint!
  co_await gather(std::vector<int>{});
}
sheaf::coro<> condition_without_locals() {
  if (co_await ready()) done();  // lint!
}
sheaf::coro<> loop_without_locals() {
  while (co_await next()) {  // lint!
    step();
  }
}
sheaf::coro<> condition_with_locals() {
  int local = 0;
  if (co_await ready()) done(local);
}
sheaf::coro<> condition_that_declares() {
  while (auto t = co_await next()) use(t);
}
sheaf::coro<> ordinary() {
  auto x = co_await spawn(work, 1, "text with { and ? and :");
  co_await sheaf::wait(tasks, {.return_when = sheaf::first_completed});
  co_return co_await std::move(x);
}
