"""Mini-batch training of linear models by the closed form of their gradient."""
