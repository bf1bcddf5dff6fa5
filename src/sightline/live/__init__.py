"""A local page of runs: it reads run folders, and never the process that trains."""
