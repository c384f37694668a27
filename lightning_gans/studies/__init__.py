"""Comparisons: models x data sets x seeds under one protocol, from their plan to the report."""

from lightning_gans.studies.command import run

__all__ = ["run"]
