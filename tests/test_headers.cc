// Compiles the headers that tests share.
