"""Generative adversarial networks and their rivals, trained and compared under one protocol."""

__version__ = "0.1.0"
