void good() {
  // order: release publishes the result; peer: acquire in read().
  word.store(1, sync::release);
  word.load(sync::relaxed);
  return word.load(acquire);  // order: acquire sees the result; peer: release above.
}
void semaphores() {
  permits.acquire(2);
  permits.release();
  auto order = sync::release;
  word.store(2, order);
}
void filler() {
  one();
  two();
}
void far() {
  // order: too far above the second one
  word.fetch_add(1, sync::acq_rel);
  one();
  two();
  three();
  four();
  five();
  six();
  word.compare_exchange_strong(expected,
                               desired, std::memory_order_seq_cst,  // lint!
                               sync::relaxed);
}
