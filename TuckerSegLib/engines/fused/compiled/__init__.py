"""Inner loops compiled for this very processor while the program runs, by LLVM (llvmlite)."""
