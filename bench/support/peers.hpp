#pragma once
/// @file
/// The peers that may be absent: a program asks for SHEAF_BENCH_ASIO, SHEAF_BENCH_LIBUV, and leaves them out where they are not defined.

#ifdef SHEAF_BENCH_ASIO
#include <asio.hpp>
#endif

#ifdef SHEAF_BENCH_LIBUV
#include <uv.h>
#endif
