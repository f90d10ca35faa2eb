TEST(Gather, Gather01_Something) {}
/// GATHER-02: a comment counts.
TEST(Wait, Wait01_Something) {}
// WAIT-05
