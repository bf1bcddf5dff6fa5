"""Trainings of modules of one's own, kept in run folders."""
