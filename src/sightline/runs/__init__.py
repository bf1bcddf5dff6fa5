"""A run is a folder: plain files, append-only while it runs, readable without sightline, safe to copy."""
