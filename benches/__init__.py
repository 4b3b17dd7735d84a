"""Benchmarks: packhouse, its peers and the machine's limits, on the same data in one run (`python -m benches`)."""
