"""The mathematics of linear models: arrays in, arrays out; no files, no torch, no loops over epochs.

Conventions, stated once. `X (n, p)` is the design matrix without its column of ones, `y (n,)` or `(n, k)` the targets,
`weight (k, p)` and `bias (k,)` the parameters as `torch.nn.Linear` holds them. The loss is the mean squared error
without the factor 1/2, as `torch.nn.functional.mse_loss`; the objective is loss + (weight_decay / 2) ‖θ‖².
"""
