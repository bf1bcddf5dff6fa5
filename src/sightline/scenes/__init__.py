"""What a page shows of a run, as plain values: made from the run folder, and from the rows where they are at hand."""
