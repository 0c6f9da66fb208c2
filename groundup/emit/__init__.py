"""Floor 3: one loop nest becomes Python, LLVM IR or PTX; must not know why it looks as it does."""
