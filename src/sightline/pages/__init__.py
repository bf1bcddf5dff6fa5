"""Runs as pages show them: a run folder as one scene, the stories, a run as one file."""
