"""A whole fleet on one machine as real processes, in one folder: what the demo and the benchmarks
play on. Whatever is started is ended, runners included."""
