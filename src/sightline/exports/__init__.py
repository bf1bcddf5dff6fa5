"""A run in other forms, that need nothing of sightline; they read records and plain values, and import no torch."""
