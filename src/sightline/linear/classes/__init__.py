"""Logistic and softmax regression: the maximum of the likelihood, its separation, statistics and curvature."""
