#pragma once
#include <sheaf/wait.hpp>
