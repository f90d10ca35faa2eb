// Under `using namespace sheaf`, POSIX's wait and a program's own functions of Sheaf's names are called as before.
#include <sheaf/sheaf.hpp>

#include <sys/wait.h>

#include <functional>
#include <string>
#include <type_traits>

using namespace sheaf;

struct mine {};
struct monster {};

mine spawn(const monster& kind, double where);
mine spawn(const std::string& kind);
template <class Kind>
mine spawn(const Kind& kind, const char* name, int number);
mine as_completed(const monster& kind);
mine spawn_blocking(const monster& kind);
mine gather(const monster& kind, double how_many);
mine when_all(const monster& kind);
mine race(const monster& one, const monster& other);
mine first_success(const monster& kind);
mine with_task_group(const monster& kind);
template <class Range>
mine wait(const Range& range, int times);
namespace elsewhere {
template <class What>
mine wait(const What& what);
inline mine waits(const sheaf::task<int>& one) { return wait(one); }  // Sheaf's is found through its argument, and ranks below
}  // namespace elsewhere

monster orc;
int status = 0;
static_assert(std::is_same_v<decltype(spawn(orc, 1)), mine>);
static_assert(std::is_same_v<decltype(spawn("orc")), mine>);
static_assert(std::is_same_v<decltype(spawn(orc, "Bolg", 1)), mine>);
static_assert(std::is_same_v<decltype(as_completed(orc)), mine>);
static_assert(std::is_same_v<decltype(spawn_blocking(orc)), mine>);
static_assert(std::is_same_v<decltype(gather(orc, 2)), mine>);
static_assert(std::is_same_v<decltype(when_all(orc)), mine>);
static_assert(std::is_same_v<decltype(race(orc, orc)), mine>);
static_assert(std::is_same_v<decltype(first_success(orc)), mine>);
static_assert(std::is_same_v<decltype(with_task_group(orc)), mine>);
static_assert(std::is_same_v<decltype(wait(&status)), pid_t>);
static_assert(std::is_same_v<decltype(wait(nullptr)), pid_t>);
static_assert(std::is_same_v<decltype(wait(NULL)), pid_t>);

coro<int> value() { co_return 1; }
static_assert(std::is_same_v<decltype(spawn(value())), task<int>>);

int main() { return ::wait(&status) < 0 && wait(&status) < 0 ? 0 : 1; }
