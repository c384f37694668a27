"""The commands that need Lightning: fit, validate, test and predict, and their messages."""

import errno
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import set_parsing_settings
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf.errors import OmegaConfBaseException

import lightning_gans.callbacks as callbacks
import lightning_gans.data  # noqa: F401  short class names are those of imported modules
import lightning_gans.networks
import lightning_gans.schedules  # noqa: F401
from lightning_gans.arguments import config_files, precision_of, refuse_automatic, with_configs
from lightning_gans.data import Data
from lightning_gans.errors import InputError
from lightning_gans.messages import Parser, cause_of, quieten, usage
from lightning_gans.models import Model
from lightning_gans.paths import CONFIGS
from lightning_gans.resuming import check_origin, checkpoint_meant, spelled_out
from lightning_gans.runs import RunOptions, claim, discard_unstarted, run_of
from lightning_gans.strategies import check_strategy, know_rank, while_all_live

__all__ = ["CLI", "run"]

set_parsing_settings(omegaconf_absolute_to_relative_paths=True)


class CLI(LightningCLI):
    """fit, validate, test and predict of any model here on any data here.

    Args:
        args: The command line after ``lightning``.
    """

    def __init__(self, args: list[str]) -> None:
        self._only, self._files = args[0], config_files(args)
        self._claimed, self._batches_before = None, 0
        super().__init__(
            model_class=Model,
            datamodule_class=Data,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            parser_class=Parser,
            parser_kwargs={
                "parser_mode": "omegaconf+",
                "prog": "lightning",
                self._only: {
                    "parser_mode": "omegaconf+",
                    "prog": f"lightning {self._only}",
                    "usage": usage(self._only),
                    "default_config_files": [str(CONFIGS / "defaults.yaml")],
                },
            },
            seed_everything_default=0,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=None,
        )

    def subcommands(self) -> dict[str, set[str]]:
        """The one that was asked for: building the others' parsers would take a second."""
        return {self._only: LightningCLI.subcommands()[self._only] | {"weights_only"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add where the run is kept and what it shows and saves."""
        parser.add_class_arguments(RunOptions, "run")
        for name, part in callbacks.SETTABLE.items():
            parser.add_lightning_class_args(part, name)

    def _parse_ckpt_path(self) -> None:
        """Nothing: what the user says wins over what a checkpoint remembers."""

    def _default_experiment(self, model: str) -> str:
        """The name of the first config file, else of the model."""
        return Path(self._files[0]).stem if self._files else model.rsplit(".", 1)[-1].lower()

    def before_instantiate_classes(self) -> None:
        """Settle what is left open: experiment, checkpoint, precision, run folder."""
        config = self.config[self.subcommand]
        if config.run.experiment is None:
            config.run.experiment = self._default_experiment(config.model.class_path)
        if Path(config.run.experiment).name != config.run.experiment:
            raise InputError(f"--run.experiment {config.run.experiment!r} must be a plain name")
        self._experiment = Path(config.run.folder) / config.run.experiment
        if config.get("ckpt_path") in ("last", "auto"):
            beside = Path(self._files[0]).parent if self._files else Path()
            config.ckpt_path = checkpoint_meant(config.ckpt_path, self._experiment, beside)
        config.trainer.precision = precision_of(
            config.trainer.precision, config.trainer.accelerator
        )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The Trainer, for ``fit`` with a run folder and what is written there."""
        config = dict(self._get(self.config_init, "trainer"))
        config["profiler"] = config["profiler"] or callbacks.NoProfiler()
        refuse_automatic(config)
        if self.subcommand != "fit":
            config["logger"] = False
            folder = run_of(Path(self.config[self.subcommand].ckpt_path or "")) or Path()
            writer = callbacks.Predictions(folder / "predictions.npz")
            tested = callbacks.TESTED if self.subcommand == "test" else ()
            measuring = [self._get(self.config_init, part) for part in tested]
            return self._instantiate_trainer(config, [writer, *measuring])
        progress = [] if config["enable_progress_bar"] is False else [callbacks.Progress()]
        config["enable_progress_bar"] = config["enable_checkpointing"] = False
        if config["fast_dev_run"]:
            config["logger"] = False
            return self._instantiate_trainer(config, progress)
        folder = self._run_folder()
        config["logger"] = self._loggers(config["logger"], folder)
        settings = self.config.fit.clone()
        # A config starts a run; where and whether one goes on is said each time.
        settings.ckpt_path, settings.run.force = None, False
        self._settings = self._parser("fit").dump(settings, skip_none=False)
        reporting = [self._get(self.config_init, part) for part in callbacks.REPORTING] + progress
        parts = [
            callbacks.RunConfig(self._settings),
            callbacks.Account(),
            callbacks.Resumed(self.config.fit.ckpt_path),
            *reporting,
            # After what reports, so that they find the rows of their batch there.
            self._get(self.config_init, "checkpoints"),
        ]
        return self._instantiate_trainer(config, [callbacks.Together(parts, reporting)])

    def _run_folder(self) -> Path | None:
        """That of the checkpoint that is gone on from, else a new one."""
        checkpoint = self.config.fit.ckpt_path
        folder = run_of(Path(checkpoint)) if checkpoint else None
        if folder is None or folder.parent.resolve() != self._experiment.resolve():
            # The other processes are told it when all have started.
            folder = self._claimed = claim(self._experiment) if rank_zero_only.rank == 0 else None
        return folder if rank_zero_only.rank == 0 else None

    def _loggers(self, given: Any, folder: Path | None) -> list[Logger]:
        """metrics.csv always; Weights & Biases unless the user gives loggers of their own."""
        loggers: list[Logger] = [callbacks.RunLogger(folder, self.model)]
        if given in (None, True):
            options = self._get(self.config_init, "run")
            wandb = callbacks.wandb_logger(options, folder, self.model)
            return loggers if wandb is None else [*loggers, wandb]
        if not given:
            return loggers
        return [*loggers, *(given if isinstance(given, list) else [given])]

    def instantiate_classes(self) -> None:
        """Build everything; whatever a class refuses is the user's to mend."""
        try:
            super().instantiate_classes()
        except BaseException as error:
            self._abandon()
            if isinstance(error, ValueError):
                raise InputError(cause_of(error) or str(error)) from error
            raise

    def _abandon(self) -> None:
        """Leave no folder of a run that was refused before it began."""
        callbacks.finish_wandb()
        if self._claimed is not None:
            discard_unstarted(self._claimed)

    def _run_subcommand(self, subcommand: str) -> None:
        """Run it."""
        try:
            self._check()
            with while_all_live():
                super()._run_subcommand(subcommand)
        except (InputError, MisconfigurationException):
            self._abandon()
            raise
        finally:
            callbacks.finish_wandb()

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """As Lightning's, and a checkpoint is never unpickled."""
        return {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}

    def _check(self) -> None:
        """Refuse what would fail later: several devices, a checkpoint of another model."""
        check_strategy(self.trainer)
        path = self.config[self.subcommand].ckpt_path
        if path is None and self.subcommand != "fit":
            raise InputError(f"{self.subcommand} needs --ckpt_path; a fresh network says nothing")
        if path is not None and rank_zero_only.rank == 0:
            content = callbacks.read_checkpoint(Path(path))
            self._batches_before = content["clock"]["batches_seen"]
            self._ended_before = callbacks.ended(Path(path))
            callbacks.check_weights(Path(path), content, self.model)
            if self.subcommand == "fit":
                now, force = yaml.safe_load(self._settings), self.config.fit.run.force
                check_origin(Path(path), content, now, force)

    def after_fit(self) -> None:
        """Say what is there now and what can be done with it."""
        model, last = self.model, self.trainer.max_steps
        if self.trainer.fast_dev_run or not self.trainer.is_global_zero:
            return
        if self._batches_before == model.batches_seen and self._ended_before:
            limit = f"max_steps {last}" if last != -1 else f"max_epochs {self.trainer.max_epochs}"
            print(f"nothing to do: {model.batches_seen} batches reach --trainer.{limit}")
            return
        if (window := model.window).filled < window.batches:
            print(
                f"nobody moved on the last {window.filled} batches, of a window of {window.batches}"
            )
        for part in (self._get(self.config_init, name) for name in callbacks.EVALUATING):
            print(part.report, end="\n" if part.report else "")
        final = callbacks.run_folder(self.trainer) / "checkpoints/final.ckpt"
        print(f"{model.batches_seen} batches, {model.samples_seen} samples seen; draw with:")
        print(f"  lightning sample --ckpt_path {final} -n 64 --out samples.png")


def run(args: list[str]) -> None:
    """Run ``lightning`` with ``args``, the first of which is the subcommand.

    Raises:
        InputError: What the user gave cannot be used.
    """
    quieten()
    know_rank()
    callbacks.look_for_gpus_once()
    args = with_configs(spelled_out(args))
    sys.argv[1:] = args  # what Lightning starts other processes with
    try:
        CLI(args)
    except InputError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"{error.filename or 'a file'} cannot be written: disk full"
            ) from error
        raise
    except OmegaConfBaseException as error:
        key, *_ = re.findall(r"full_key: (?:fit\.|validate\.|test\.|predict\.)?(\S+)", str(error))
        wanted, *_ = re.findall(r"key '\.*(\S+)'", str(error)) or [str(error)]
        raise InputError(f"{key} refers to ${{{wanted}}}, which is not in the config") from error
    except (MisconfigurationException, ModuleNotFoundError, ValueError) as error:
        # So Lightning, torch and we refuse a user's values; LIGHTNING_GANS_DEBUG=1 shows where.
        raise InputError(cause_of(error) or str(error)) from error
