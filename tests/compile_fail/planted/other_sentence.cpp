// expect: pass the data as arguments
static_assert(false, "something else");
int main() {}
