"""What `sightline tutorial` teaches: the exercises, their script line by line, and what is said beside it."""
