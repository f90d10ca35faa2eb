// expect: the sentence
#ifdef SHEAF_CONTROL
int main() { return undeclared; }
#else
static_assert(false, "the sentence");
#endif
