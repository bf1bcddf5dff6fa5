"""The page docs/benchmarks.md."""
def machine_lines(machines): return [str(machines)]
