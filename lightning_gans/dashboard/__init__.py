"""The dashboard: a page over all runs and sweeps of a folder, read live, without an account."""
