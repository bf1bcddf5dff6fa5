"""Ways to run one epoch; `autograd` is the definition, the others exist because they give the same records faster."""
