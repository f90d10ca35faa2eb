/// @file
/// explorer [NAME...] [options]: explores the scenarios whose names begin with one of these, or all.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sheaf/detail/context.hpp>

#include "explorer/explorer.hpp"
#include "explorer/scenarios/scenarios.hpp"

namespace {

constexpr const char* k_usage =
    "usage: explorer [NAME...] [--list] [--seconds S] [--preemptions P] [--random RUNS] [--seed N] [--replay CHOICES]\n"
    "                [--sites] [--weaken FILE:LINE:COLUMN:KIND=ORDER]\n"
    "  Explores every scenario whose name begins with a NAME, or all. --seconds bounds each of them.\n"
    "  --sites tells, after each, which atomic operations were made; --weaken has one of them made in another order.\n";

struct arguments {
  std::vector<std::string_view> parts;
  bool list = false;
  bool sites = false;
  std::optional<double> seconds;
  std::optional<unsigned> preemptions;
  std::optional<std::uint64_t> random_runs;
  std::optional<std::uint64_t> seed;
  std::vector<unsigned> replay;
};

[[noreturn]] void refuse(std::string_view what) {
  std::fprintf(stderr, "explorer: %.*s\n%s", static_cast<int>(what.size()), what.data(), k_usage);
  std::exit(2);
}

double number(const char* text) {
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  if (end == text || *end != '\0' || !(value >= 0)) refuse(std::string(text) + " is no number");
  return value;
}

/// "17=1,40=2": choices other than the first, by their place.
std::vector<unsigned> choices(const std::string& text) {
  std::vector<unsigned> all;
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t to = std::min(text.find(',', from), text.size());
    const std::string one = text.substr(from, to - from);
    const std::size_t equals = one.find('=');
    if (equals == std::string::npos) refuse(one + " is no choice");
    const auto place = static_cast<std::size_t>(number(one.substr(0, equals).c_str()));
    all.resize(std::max(all.size(), place + 1));
    all[place] = static_cast<unsigned>(number(one.substr(equals + 1).c_str()));
    from = to + 1;
  }
  return all;
}

constexpr std::array<std::pair<std::string_view, std::memory_order>, 5> k_orders{{{"relaxed", std::memory_order_relaxed},
                                                                                  {"acquire", std::memory_order_acquire},
                                                                                  {"release", std::memory_order_release},
                                                                                  {"acq_rel", std::memory_order_acq_rel},
                                                                                  {"seq_cst", std::memory_order_seq_cst}}};

/// "src/deque.hpp:87:12:store=relaxed"
explorer::operation_site weaker_site(const std::string& text) {
  static const std::regex form("(.+):(\\d+):(\\d+):(\\w+)=(\\w+)");
  std::smatch parts;
  if (!std::regex_match(text, parts, form)) refuse(text + " is no FILE:LINE:COLUMN:KIND=ORDER");
  const auto order = std::ranges::find(k_orders, std::string_view(text).substr(static_cast<std::size_t>(parts.position(5))),
                                       &std::pair<std::string_view, std::memory_order>::first);
  if (order == k_orders.end()) refuse(parts.str(5) + " is no order");
  return {parts.str(1), static_cast<unsigned>(std::stoul(parts.str(2))), static_cast<unsigned>(std::stoul(parts.str(3))),
          parts.str(4), order->second};
}

void print_sites() {
  for (const explorer::operation_site& each : explorer::sites()) {
    const auto order = std::ranges::find(k_orders, each.order, &std::pair<std::string_view, std::memory_order>::second);
    std::printf("site %s:%u:%u:%s=%s %llu\n", each.file.c_str(), each.line, each.column, each.kind.c_str(), order->first.data(),
                static_cast<unsigned long long>(each.times));
  }
}

arguments parse(int count, char** given) {
  arguments all;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = given[i];
    const auto value = [&]() -> const char* {
      if (i + 1 == count) refuse(std::string(word) + " needs a value");
      return given[++i];
    };
    if (word == "--list") {
      all.list = true;
    } else if (word == "--sites") {
      all.sites = true;
      explorer::count_sites();
    } else if (word == "--weaken") {
      explorer::weaken(weaker_site(value()));
    } else if (word == "--seconds") {
      all.seconds = number(value());
    } else if (word == "--preemptions") {
      all.preemptions = static_cast<unsigned>(number(value()));
    } else if (word == "--random") {
      all.random_runs = static_cast<std::uint64_t>(number(value()));
    } else if (word == "--seed") {
      all.seed = static_cast<std::uint64_t>(number(value()));
    } else if (word == "--replay") {
      all.replay = choices(value());
    } else if (word.starts_with("-")) {
      refuse(std::string(word) + " is no option");
    } else {
      all.parts.push_back(word);
    }
  }
  return all;
}

bool is_chosen(const arguments& given, std::string_view name) {
  for (const std::string_view part : given.parts) {
    if (name.starts_with(part)) return true;
  }
  return given.parts.empty();
}

void explore_one(const explorer::scenario& each, const arguments& given) {
  explorer::options how = each.how;
  how.seconds = given.seconds.value_or(how.seconds);
  how.preemptions = given.preemptions.value_or(how.preemptions);
  how.random_runs = given.random_runs.value_or(how.random_runs);
  how.seed = given.seed.value_or(how.seed);
  how.replay = given.replay;
  const explorer::report told = explorer::explore(each.name, each.body, how);
  std::printf("%-44.*s %9llu runs %6llu steps each %8llu cut short  %s  %.1f s\n", static_cast<int>(each.name.size()),
              each.name.data(), static_cast<unsigned long long>(told.runs),
              static_cast<unsigned long long>(told.steps / told.runs), static_cast<unsigned long long>(told.pruned),
              told.complete ? "complete" : "        ", told.seconds);
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** given) {
  const arguments wanted = parse(count, given);
  explorer::set_thread_reset([] { sheaf::detail::context() = {}; });
  bool any = false;
  for (const auto scenarios :
       {explorer::queue_scenarios(), explorer::parking_scenarios(), explorer::task_scenarios(), explorer::live_task_scenarios(),
        explorer::cancel_scenarios(), explorer::time_scenarios(), explorer::combinator_scenarios(), explorer::gather_scenarios(),
        explorer::blocking_scenarios(), explorer::runtime_scenarios()}) {
    for (const explorer::scenario& each : scenarios) {
      if (!is_chosen(wanted, each.name)) continue;
      any = true;
      if (wanted.list) {
        std::printf("%.*s\n", static_cast<int>(each.name.size()), each.name.data());
      } else {
        explore_one(each, wanted);
        if (wanted.sites) print_sites();
      }
    }
  }
  if (!any) refuse("no scenario has such a name");
}
