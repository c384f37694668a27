"""The command ``lightning``: dispatches without importing what it does not need."""

import os
import sys

HELP = """\
Train, test and sample generative adversarial networks and their rivals.

usage: lightning <command> [options]

  fit        train a model:    lightning fit --config configs/dcgan.yaml [--resume auto]
  validate   held-out losses of a checkpoint
  test       test losses, likelihoods and quality of a checkpoint:  lightning test --ckpt_path X
  predict    what a model says of each test event (logits, likelihoods), as an .npz
  sample     samples of a checkpoint:      lightning sample --ckpt_path X -n 64 --out grid.png
  evaluate   how good images are:          lightning evaluate --real MNIST --fake X.ckpt
  sweep      many runs by one sweep file:  lightning sweep configs/sweeps/ring.yaml --jobs 2
  compare    models x data x seeds: lightning compare configs/studies/toy.yaml --jobs 2
  dashboard  a page over all runs:   lightning dashboard runs/ [--export report.html]
  list       models, data sets, networks, objectives, schedules and shipped configs

  lightning <command> --help    its options
  lightning --version           the version
  LIGHTNING_GANS_DEBUG=1        tracebacks instead of one-line errors
"""

_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK")
"""Variables that tell a process that it is not the first."""
_LIGHTNING = ("fit", "validate", "test", "predict")


def main(args: list[str] | None = None) -> int:
    """Run the command line ``args`` (None: the process's own); the exit code, 2 for bad input."""
    args = sys.argv[1:] if args is None else args
    from lightning_gans.errors import InputError, Interrupted

    try:
        code = _dispatch(args)
        sys.stdout.flush()
        return code
    except (InputError, Interrupted) as error:
        if os.environ.get("LIGHTNING_GANS_DEBUG"):
            raise
        if rank := max(int(os.environ.get(name) or 0) for name in _RANKS):
            if isinstance(error, Interrupted):
                return 0  # the first process says it; Lightning would kill it if another failed
            print(f"[process {rank}] ", end="", file=sys.stderr)
        prefix = "error: " if isinstance(error, InputError) else "\n"
        print(f"{prefix}{error}", file=sys.stderr)
        return getattr(error, "code", 2)
    except BrokenPipeError:  # `lightning list | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nstopped before training began; nothing to save", file=sys.stderr)
    return 2


def _dispatch(args: list[str]) -> int:
    command, rest = (args[0], args[1:]) if args else ("--help", [])
    sys.path.append(os.getcwd())  # a user's own objective or network, named as file.function
    if command in ("--help", "-h", "help"):
        print(HELP, end="")
    elif command in ("--version", "-V"):
        from lightning_gans import __version__

        print(f"lightning-gans {__version__}")
    elif command == "list":
        from lightning_gans.catalogue import show

        show(rest)
    elif command == "sample":
        from lightning_gans.sampling import run

        run(rest)
    elif command == "evaluate":
        from lightning_gans.evaluation import run

        run(rest)
    elif command == "sweep":
        from lightning_gans.sweeps import run

        run(rest)
    elif command == "compare":
        from lightning_gans.studies import run

        run(rest)
    elif command == "dashboard":
        from lightning_gans.dashboard.command import run

        run(rest)
    elif command in _LIGHTNING:
        from lightning_gans.cli import run

        run(args)
    else:
        from lightning_gans.errors import InputError, meant

        names = (*_LIGHTNING, "sample", "evaluate", "sweep", "compare", "dashboard", "list")
        hint = meant(command, names)
        raise InputError(f"there is no command {command!r}, only {', '.join(names)}{hint}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
