"""The version, in the one place that packaging and run folders read."""

__version__ = "0.1.0"
