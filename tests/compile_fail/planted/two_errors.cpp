// expect: the sentence
static_assert(false, "the sentence");
int main() { return undeclared; }
