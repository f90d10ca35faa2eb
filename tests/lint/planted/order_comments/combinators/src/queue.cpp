int bad() {
  head_->store(next, release);  // lint!
  const auto seen = tail.exchange(mine, sync::acq_rel);  // lint!
  int n = count.load();  // lint!
  count.fetch_add(1);  // lint!
  count.store(n);  // lint!
  std::atomic_thread_fence(how);  // lint!
  // release, acquire: prose, not code
  return std::exchange(n, 2);
}
