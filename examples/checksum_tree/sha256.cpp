#include "sha256.hpp"

#include <openssl/evp.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

namespace checksum {

namespace {

struct free_context {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
struct free_algorithm {
  void operator()(EVP_MD* algorithm) const noexcept { EVP_MD_free(algorithm); }
};
using context_ptr = std::unique_ptr<EVP_MD_CTX, free_context>;

/// Contexts that wait for their next hash.
struct context_cache {
  std::array<context_ptr, 4> contexts;
  std::size_t count = 0;
};
thread_local context_cache cache;

void require(int success) {
  if (success != 1) throw std::runtime_error("OpenSSL cannot compute SHA-256");
}

/// Looked up once: OpenSSL 3 searches its providers at every fetch.
const EVP_MD* algorithm() {
  static const std::unique_ptr<EVP_MD, free_algorithm> fetched(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  require(fetched != nullptr);
  return fetched.get();
}

context_ptr take_context() {
  if (cache.count != 0) return std::move(cache.contexts[--cache.count]);
  context_ptr context(EVP_MD_CTX_new());
  if (context == nullptr) throw std::bad_alloc();
  return context;
}

}  // namespace

// A coroutine may create its hash on one thread and drop it on another. These two stay out of line: inlined into a coroutine, they
// could keep the address of the first thread's cache.
[[gnu::noinline]] sha256::sha256() {
  context_ptr context = take_context();
  require(EVP_DigestInit_ex(context.get(), algorithm(), nullptr));
  context_ = context.release();
}

[[gnu::noinline]] sha256::~sha256() {
  context_ptr context(context_);
  if (cache.count != cache.contexts.size()) cache.contexts[cache.count++] = std::move(context);
}

void sha256::update(std::span<const std::byte> data) { require(EVP_DigestUpdate(context_, data.data(), data.size())); }

digest sha256::finish() {
  digest sum;
  require(EVP_DigestFinal_ex(context_, sum.data(), nullptr));
  return sum;
}

}  // namespace checksum
