#pragma once
/// @file
/// SHA-256 through OpenSSL's EVP interface.

#include <array>
#include <cstddef>
#include <span>

struct evp_md_ctx_st;

namespace checksum {

using digest = std::array<unsigned char, 32>;

/// One hash in progress. Its context comes from, and returns to, a small cache of the thread that creates or destroys it.
class sha256 {
 public:
  sha256();
  sha256(const sha256&) = delete;
  sha256& operator=(const sha256&) = delete;
  ~sha256();

  void update(std::span<const std::byte> data);
  /// Ends the hash: once.
  [[nodiscard]] digest finish();

 private:
  evp_md_ctx_st* context_;
};

}  // namespace checksum
