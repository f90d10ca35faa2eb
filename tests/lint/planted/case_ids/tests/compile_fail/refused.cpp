// expect: sentence
// GATHER-06
int main() {}
