#pragma once
#include <sheaf/task.hpp>
