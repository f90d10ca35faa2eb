#include "explorer/world.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "explorer/thread_sanitizer.hpp"

namespace explorer {

constinit thread_local actor* self = nullptr;
void (*reset_thread)() = nullptr;

void world::futex_wait(const void* where, const std::uint32_t* word, std::uint32_t expected, std::int64_t deadline) {
  point(operation::wait, where);
  drain(*self);
  has_read(where);
  if (*word != expected || deadline <= clock_) return;
  self->now = actor::state::waiting;
  self->place = where;
  self->deadline = deadline;
  switch_from(false);
}

void world::futex_wake(const void* where, unsigned how_many) {
  point(operation::wake, where);
  drain(*self);
  for (actor* const each : active_) {
    if (how_many == 0) break;
    if (each->now != actor::state::waiting || each->place != where) continue;
    each->now = actor::state::ready;
    each->history = mix(each->history, self->history);
    --how_many;
  }
  self->history = mix(self->history, how_many);
}

bool world::buffer_store(void* where, const void* value, std::size_t size, std::memory_order order) {
  if (!how_->late_stores || !followed(schedule_.choose(true))) return false;
  late_store kept{where, size, 0, order == std::memory_order_release, false};
  std::memcpy(&kept.bits, value, size);
  self->late.push_back(kept);
  self->history = mix(mix(self->history, history_of(where).name), 13);
  return true;
}

bool world::buffer_update(void* where, const void* value, std::size_t size, std::memory_order order) {
  if (!how_->late_stores || order == std::memory_order_seq_cst || !followed(schedule_.choose(true))) return false;
  const bool in_order = order == std::memory_order_release || order == std::memory_order_acq_rel;
  late_store kept{where, size, 0, in_order, true};
  std::memcpy(&kept.bits, value, size);
  self->late.push_back(kept);
  has_read(where);
  self->history = mix(self->history, 17);
  return true;
}

bool world::read_own_store(const void* where, void* value, std::size_t size) {
  const auto found =
      std::find_if(self->late.rbegin(), self->late.rend(), [where](const late_store& each) { return each.where == where; });
  if (found == self->late.rend()) return false;
  std::memcpy(value, &found->bits, size);
  return true;
}

bool world::can_move(const actor& each) const {
  switch (each.now) {
    case actor::state::ready:
      return !each.spins;
    case actor::state::locking:
      return *each.word == 0;
    case actor::state::joining:
      return active_[each.joined]->now == actor::state::ended;
    default:
      return false;
  }
}

void world::switch_from(bool may_stay) {
  actor& before = *self;
  if (actor* const late = how_->early_time ? first_in_time() : nullptr; late != nullptr && followed(schedule_.choose_rarely())) {
    let_time_pass(*late);
    return move_on(before, *late);
  }
  do {
    able_.clear();
    if (may_stay) able_.push_back(before.id);
    for (const actor* const each : active_) {
      if (!(may_stay && each == &before) && can_move(*each)) able_.push_back(each->id);
    }
  } while (able_.empty() && somebody_can_be_moved());
  const std::size_t chosen = followed(schedule_.choose_actor(able_, may_stay, [this] { return fingerprint(); }));
  move_on(before, *active_[able_[chosen]]);
}

void world::move_on(actor& before, actor& next) {
  next.now = actor::state::ready;
  next.deadline = k_never;
  if (&next == &before) return;
  const bool ended = before.now == actor::state::ended;
  next.turn.pass();
  if (!ended) before.turn.take();
}

bool world::somebody_can_be_moved() {
  constexpr unsigned k_rounds = 2'000;
  bool spinning = false;
  for (actor* const each : active_) spinning = std::exchange(each->spins, false) || spinning;
  if (spinning) {
    if (++rounds_of_spinning_ > k_rounds) fail("no end: everybody spins");
    return true;
  }
  actor* const first = first_in_time();
  if (first == nullptr) fail("nobody can move");
  let_time_pass(*first);
  return true;
}

actor* world::first_in_time() const {
  actor* first = nullptr;
  for (actor* const each : active_) {
    if (each->now != actor::state::waiting || each->deadline == k_never) continue;
    if (first == nullptr || each->deadline < first->deadline) first = each;
  }
  return first;
}

void world::let_time_pass(actor& until) {
  clock_ = until.deadline;
  until.now = actor::state::ready;
  until.history = mix(until.history, static_cast<std::uint64_t>(clock_));
}

std::uint64_t world::fingerprint() const {
  std::uint64_t whole = mix(self->id, static_cast<std::uint64_t>(clock_));
  for (const actor* const each : active_)
    whole = mix(whole, mix(each->history, (each->spins ? 1U : 0U) + 2 * static_cast<unsigned>(each->now)));
  return whole | 1;
}

void world::offer_late_stores(const void* where) {
  for (actor* const each : active_) {
    if (each == self) continue;
    for (;;) {
      const auto first = std::ranges::find(each->late, where, &late_store::where);
      if (first == each->late.end() || !followed(schedule_.choose(false))) break;
      end_late_store(*each, first);
    }
  }
}

void world::end_late_updates(const void* where) {
  for (actor* const each : active_) {
    if (each == self) continue;
    const auto found =
        std::ranges::find_if(each->late, [where](const late_store& one) { return one.update && one.where == where; });
    if (found != each->late.end()) end_late_store(*each, found);
  }
}

void world::end_late_store(actor& of, std::vector<late_store>::iterator each) {
  const auto place = each - of.late.begin();
  const bool in_order = each->in_order;
  std::ptrdiff_t index = 0;
  flush(of, [&](const late_store&) {
    const std::ptrdiff_t at = index++;
    return at == place || (in_order && at < place);
  });
}

actor& world::activate(entry run, void* argument) {
  const auto id = static_cast<unsigned>(active_.size());
  if (id == threads_.size()) {
    threads_.push_back(std::make_unique<actor>());
    actor& fresh = *threads_.back();
    fresh.os = std::thread([this, &fresh] { serve(fresh); });
  }
  actor& made = *threads_[id];
  active_.push_back(&made);
  made.id = id;
  made.run = run;
  made.argument = argument;
  made.now = actor::state::ready;
  made.deadline = k_never;
  made.spins = false;
  made.born = 0;
  made.late.clear();
  return made;
}

void world::serve(actor& me) {
  self = &me;
  for (;;) {
    me.turn.take();
    if (me.run == nullptr) return;
    thread_sanitizer::acquire(&me);
    if (reset_thread != nullptr) reset_thread();
    me.run(me.argument);
    thread_sanitizer::release(&me);
    const thread_sanitizer::unseen here;
    if (!me.late.empty()) switch_from(true);  // what it keeps back may stay so a while
    drain(me);
    me.now = actor::state::ended;
    if (std::ranges::all_of(active_, [](const actor* each) { return each->now == actor::state::ended; })) {
      over_.pass();
    } else {
      switch_from(false);
    }
  }
}

void world::run_once(const std::function<void()>& scenario) {
  active_.clear();
  places_.clear();
  notes_.clear();
  clock_ = 0;
  steps_ = 0;
  rounds_of_spinning_ = 0;
  ++runs_;
  schedule_.begin_run();
  actor& main = activate([](void* what) noexcept { (*static_cast<const std::function<void()>*>(what))(); },
                         const_cast<std::function<void()>*>(&scenario));
  main.history = 1;
  thread_sanitizer::release(&main);
  main.turn.pass();
  over_.take();
  for (actor* const each : active_) thread_sanitizer::acquire(each);
  for (const late_store& each : static_values_) std::memcpy(each.where, &each.bits, each.size);
  static_values_.clear();
}

void world::end_threads() {
  for (const auto& each : threads_) {
    each->run = nullptr;
    each->turn.pass();
    each->os.join();
  }
  threads_.clear();
}

// ---- telling -------------------------------------------------------------------------------------------------------------------

namespace {

constexpr const char* k_words[] = {"load", "store", "update", "failed update", "lock",    "unlock", "wait",
                                   "wake", "start", "join",   "clock",         "barrier", "pause"};

}  // namespace

void world::print_failure(std::string_view what) {
  std::printf("FAILED %.*s: %.*s, in run %llu, %llu steps, %zu choices", static_cast<int>(name_.size()), name_.data(),
              static_cast<int>(what.size()), what.data(), static_cast<unsigned long long>(runs_),
              static_cast<unsigned long long>(steps_), schedule_.made().size());
  if (seed_) std::printf(", seed %llu", static_cast<unsigned long long>(*seed_));
  std::printf("\n");
  print_trace();
}

void world::print_trace() {
  constexpr std::size_t k_shown = 80;
  std::unordered_map<std::uint64_t, std::size_t> numbers;
  for (std::size_t i = 0; i < notes_.size(); ++i) {
    const step_note& note = notes_[i];
    const std::size_t number = note.place == 0 ? 0 : numbers.try_emplace(note.place, numbers.size() + 1).first->second;
    if (i + k_shown < notes_.size() && how_->replay.empty()) continue;
    std::printf("  %5zu  %*sT%u %s", i, static_cast<int>(4 * note.who), "", note.who, k_words[static_cast<unsigned>(note.what)]);
    if (number != 0) std::printf(" #%zu", number);
    std::printf("\n");
  }
  std::printf("--replay ");
  const std::vector<unsigned>& made = schedule_.made();
  const char* between = "";
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (made[i] == 0) continue;
    std::printf("%s%zu=%u", between, i, made[i]);
    between = ",";
  }
  std::printf("%s\n", *between == '\0' ? "0=0" : "");
  std::fflush(stdout);
}

report world::explore(std::string_view name, const std::function<void()>& scenario, const options& how) {
  name_ = name;
  how_ = &how;
  report told;
  const auto began = std::chrono::steady_clock::now();
  const auto spent = [began] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  const auto run = [&] {
    run_once(scenario);
    ++told.runs;
    told.steps += steps_;
    told.pruned += schedule_.pruned() ? 1 : 0;
    told.longest = std::max(told.longest, schedule_.made().size());
  };
  if (!how.replay.empty()) {
    schedule_.begin_replay(how.replay);
    run();
    std::printf("%.*s: nothing failed\n", static_cast<int>(name.size()), name.data());
    print_trace();
  } else {
    schedule_.begin_exhaustive(how.preemptions);
    do {
      run();
      told.complete = !schedule_.next();
    } while (!told.complete && told.runs < how.runs && spent() < how.seconds);
    const std::uint64_t usual = told.steps / told.runs;
    for (std::uint64_t i = 0; i < how.random_runs; ++i) {
      seed_ = how.seed + i;
      schedule_.begin_random(*seed_, usual);
      run();
    }
  }
  end_threads();
  told.seconds = spent();
  return told;
}

}  // namespace explorer
