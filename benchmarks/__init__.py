"""What is measured, never tested: speed as ratios in one run, digits, the cost of a step."""
