"""From a table to numbers: sources are read, formulas parsed, columns encoded, the design frozen."""
