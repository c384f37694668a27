"""The tests. A package, as torch-fidelity installs one of the same name."""
