"""Sweeps: many runs of ``lightning fit`` over one file in W&B's schema, without a server."""

from lightning_gans.sweeps.options import run

__all__ = ["run"]
