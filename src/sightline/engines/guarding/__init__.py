"""The guards of the loop: what is looked at while it runs, and what is said."""
