// GATHER-05
int job() { return 0; }
