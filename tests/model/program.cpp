#include "program.hpp"

#include <set>

#include <fmt/core.h>

namespace sheaf::model {

namespace {

const char* name_of(kind what) {
  switch (what) {
    case kind::sequence:
      return "sequence";
    case kind::sleep:
      return "sleep";
    case kind::fail:
      return "fail";
    case kind::attempt:
      return "attempt";
    case kind::swallow:
      return "swallow";
    case kind::spawn:
      return "spawn";
    case kind::spawn_gather:
      return "spawn gather";
    case kind::cancel:
      return "cancel";
    case kind::join:
      return "join";
    case kind::gather:
      return "gather";
    case kind::gather_outcomes:
      return "gather(return_exceptions)";
    case kind::when_all:
      return "when_all";
    case kind::race:
      return "race";
    case kind::wait_first:
      return "wait(first_completed)";
    case kind::wait_exception:
      return "wait(first_exception)";
    case kind::wait_all:
      return "wait(all_completed)";
    case kind::as_completed:
      return "as_completed";
    case kind::group:
      return "group";
    case kind::timeout:
      return "timeout";
    case kind::wait_for:
      return "wait_for";
    default:
      return "shield";
  }
}

void print(const node& each, std::string& out, int indent) {
  out += fmt::format("{:{}}{} {}", "", indent * 2, each.id, name_of(each.what));
  if (each.time != 0) out += fmt::format(" {} ns", each.time);
  const bool uses_slot =
      each.what == kind::spawn || each.what == kind::spawn_gather || each.what == kind::cancel || each.what == kind::join;
  if (uses_slot) out += fmt::format(" slot {}", each.slot);
  if (each.after != 0) out += fmt::format(", then {} ns", each.after);
  out += '\n';
  for (const node& child : each.children) print(child, out, indent + 1);
}

std::string text_of(const trace& events, int id) {
  const auto found = events.find(id);
  return found == events.end() ? "nothing" : fmt::format("{} at {} ns", found->second.text, found->second.time);
}

}  // namespace

trace trace_of(const history& entries) {
  trace events;
  for (const entry& each : entries) {
    const bool nothing_happened = each.ended.text == "cancelled" && each.ended.time == each.begun;
    if (!nothing_happened) events[each.id] = each.ended;
  }
  return events;
}

std::string to_string(const history& entries) {
  std::string out;
  for (const entry& each : entries) out += fmt::format("{} ns: node {}: {}\n", each.ended.time, each.id, each.ended.text);
  return out;
}

std::string to_string(const node& program) {
  std::string out;
  print(program, out, 0);
  return out;
}

std::string differences(const trace& expected, const trace& found) {
  std::set<int> ids;
  for (const auto& [id, unused] : expected) ids.insert(id);
  for (const auto& [id, unused] : found) ids.insert(id);
  std::string out;
  for (const int id : ids) {
    const std::string wanted = text_of(expected, id), got = text_of(found, id);
    if (wanted != got) out += fmt::format("node {}: the rules say {}, the library {}\n", id, wanted, got);
  }
  return out;
}

}  // namespace sheaf::model
