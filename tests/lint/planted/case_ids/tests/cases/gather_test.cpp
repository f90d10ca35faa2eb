/// WAIT-08: the tests of gather.
#include <gtest/gtest.h>

TEST(Gather, Gather01_Something) {}
/// A test may have a longer comment,
/// GATHER-02: a comment counts.
TEST_P(Wait, Wait01_Something) {}

// ---- WAIT-07 ---------------------------------------------------------

// WAIT-06
int something() { return 0; }

/// GATHER-04.
static_assert(true);
/// GATHER-99 is not in the list. lint!
TEST(Wait, Wait05_Gather07_Something) {}
TEST(Wait, Wait09_WithAWait06_LaterInItsName) {}
