"""What a newcomer may type wrong, and what is answered: one message, exit code 2, no traceback."""

import pickle
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import TINY_IMAGES
from tests.forked import Command

FIT = ["fit", *TINY_IMAGES, "--trainer.max_steps=2"]
GENERATOR = "--model.init_args.generator"
DISCRIMINATOR = "--model.init_args.discriminator"

TYPED = {
    "nothing but fit": (["fit"], "--config configs/dcgan.yaml"),
    "unknown command": (["fti"], "did you mean 'fit'?"),
    "a config without its option": (
        ["fit", "configs/ring.yaml"],
        "configs/ring.yaml stands alone; did you mean --config configs/ring.yaml?",
    ),
    "resuming from nowhere": ([*FIT, "--resume"], "--resume (or --ckpt_path) needs auto, last or"),
    "unknown key of the trainer": ([*FIT, "--trainer.max_epocs=3"], "'--trainer.max_epochs'?"),
    "unknown key of a class": (
        [*FIT, f"{GENERATOR}.init_args.latent_dmi=3"],
        "no option --model.init_args.generator.init_args.latent_dmi; did you mean "
        "'--model.generator.latent_dim'?",
    ),
    "unknown key of a preset": (
        [*FIT, "--model=WGAN", "--model.clip_weigths=1"],
        "'--model.clip_weights'?",
    ),
    "wrong type": (
        [*FIT, "--data.init_args.batch_size=many"],
        '"data.init_args.batch_size": expected int, not many',
    ),
    "unknown class": ([*FIT, "--model.class_path=GANN"], "did you mean 'GAN'?"),
    "unknown objective": (
        [*FIT, "--model.init_args.objective=lightning_gans.objectives.hing"],
        "did you mean 'lightning_gans.objectives.hinge'?",
    ),
    "an objective of a misspelt module": (
        [*FIT, "--model.objective=lightning_gans.objectve.hinge"],
        "did you mean 'lightning_gans.objectives.hinge'?",
    ),
    "an unknown objective by its short name": (
        [*FIT, "--model.objective=hing"],
        "known or dotted, not hing; did you mean 'lightning_gans.objectives.hinge'?",
    ),
    "a model whose letters are mixed up": ([*FIT, "--model", "VEA"], "did you mean 'VAE'?"),
    "a model by its full name": (
        [*FIT, "--model=lightning_gans.models.VEA"],
        "did you mean 'lightning_gans.models.VAE'?",
    ),
    "unknown data": ([*FIT, "--data=Digitz"], "did you mean 'Digits'?"),
    "a covariance": (
        ["fit", "--config=configs/mixture.yaml", "--model.covariance=ful"],
        "did you mean 'Full'?",
    ),
    "a schedule": ([*FIT, "--model.schedule=Alternatin"], "did you mean 'Alternating'?"),
    "an optimizer of torch": ([*FIT, "--model.generator_optimizer=Adm"], "did you mean 'Adam'?"),
    "a setting of a misspelt optimizer": (
        [*FIT, "--model.generator_optimzer.lr=1e-3"],
        "--model.generator_optimzer.lr; did you mean '--model.generator_optimizer.lr'?",
    ),
    "unknown option of the model": (
        [*FIT, "--model.generatr=DCGANGenerator"],
        "no option --model.generatr; did you mean '--model.generator'?",
    ),
    "nothing like any penalty": (
        [*FIT, "--model.penalties+=Q7"],
        "not Q7; it can be Annealed, DRAGAN, GradientPenalty, Lazy, LeCam, R1, R2",
    ),
    "a word among several": ([*FIT, "--run.wandb=ofline"], "did you mean 'offline'?"),
    "an option of ours": ([*FIT, "--resum=auto"], "did you mean '--resume'?"),
    "two of a name, the second misspelt": (
        [*FIT, "--model.generator.norm=none", "--model.discriminator.norm=nune"],
        "key \"model.discriminator.norm\": expected one of 'batch', 'none'. Got value: nune; did",
    ),
    "a key of a config": (
        ["fit", "--config=generatr.yaml"],
        "Option 'generatr.class_path' is not accepted; did you mean 'generator'?",
    ),
    "a network as the model": (
        [*FIT, "--model=lightning_gans.networks.DCGANGenerator"],
        "does not correspond to a subclass of Model",
    ),
    "missing config": (["fit", "--config=configs/dcgn.yaml"], "did you mean 'configs/dcgan.yaml'?"),
    "a config that is no YAML": (["fit", "--config=broken.yaml"], "broken.yaml is not YAML"),
    "an empty config": (["fit", "--config=empty.yaml"], "empty.yaml must hold keys such as model"),
    "a config with a wrong part": (["fit", "--config=modle.yaml"], "modle.yaml: there is no key"),
    "a function by its short name": (
        [*FIT, "--model.init_args.objective=hinge"],
        "'lightning_gans.objectives.hinge'?",
    ),
    "a learning rate below zero": (
        [*FIT, "--model.init_args.generator_optimizer.init_args.lr=-1"],
        "generator_optimizer: Invalid learning rate",
    ),
    "an empty window": (
        [*FIT, "--model=GEAN", "--model.window=0"],
        "Accumulated.window is 0; it must be at least 1",
    ),
    "a window of words": (
        [*FIT, "--model=GEAN", "--model.window=two"],
        "\"model.window\": expected int, or one of 'epoch'",
    ),
    "a negative ratio": (
        [*FIT, "--model.schedule=Alternating", "--model.schedule.ratio=-2"],
        "Alternating.ratio is -2; it must be at least 1",
    ),
    "an empty phase": (
        [*FIT, "--model.schedule=Phased", "--model.schedule.generator=0"],
        "Phased.generator is 0",
    ),
    "an unknown beta rule": (
        [
            *FIT,
            "--model.generator_optimizer=ConjugateDirection",
            "--model.generator_optimizer.lr=0.1",
            "--model.generator_optimizer.rule=PRP",
        ],
        "\"model.generator_optimizer.rule\": expected one of 'FR', 'PR+', 'HS', 'DY', or float",
    ),
    "a penalty as the objective, by its short name": (
        [*FIT, "--model.objective=R1"],
        "R1 belongs to model.penalties",
    ),
    "a penalty as the objective": (
        [*FIT, "--model.objective=lightning_gans.objectives.R1"],
        "model.objective R1 is a penalty; give it to model.penalties",
    ),
    "an objective as a penalty": (
        [*FIT, "--model.penalties+=lightning_gans.objectives.LeastSquares"],
        "is no penalty, such as R1",
    ),
    "one penalty without a list": ([*FIT, "--model.penalties=R1"], "expected a list"),
    "a schedule as the update": (
        [*FIT, "--model.update=Simultaneous"],
        "Simultaneous belongs to model.schedule",
    ),
    "an update that needs old batches": (
        [*FIT, "--model=GEAN", "--model.update=lightning_gans.schedules.extragradient"],
        "model.schedule averages gradients",
    ),
    "clipping to nothing": ([*FIT, "--model.clip_norm=0"], "model.clip_norm is 0.0"),
    "clipping that only automatic optimisation knows": (
        [*FIT, "--trainer.gradient_clip_val=1"],
        "model.clip_norm",
    ),
    "accumulation that only automatic optimisation knows": (
        [*FIT, "--trainer.accumulate_grad_batches=2"],
        "model.accumulate",
    ),
    "an objective of one's own that fails": (
        [*FIT, "--model.objective=boom.boom"],
        "model.objective boom failed on 64 logits: NameError: name 'rael' is not defined "
        "(boom.py, line 2)",
    ),
    "an objective of one's own that gives no losses": (
        [*FIT, "--model.objective=boom.mean"],
        "model.objective mean is not an objective",
    ),
    "an augmentation of images for points": (
        ["fit", "--config=configs/ring.yaml", "--model.augment=DiffAugment"],
        "model.augment DiffAugment",
    ),
    "a scheduler without its settings": (
        [*FIT, "--model.generator_scheduler=torch.optim.lr_scheduler.OneCycleLR"]
        + ["--model.generator_scheduler.max_lr=0.1"],
        "model.generator_scheduler: You must define either total_steps OR",
    ),
    "a scheduler that waits for a metric": (
        [*FIT, "--model.generator_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau"],
        "CosineAnnealingLR",
    ),
    "an unknown augmentation": (
        [*FIT, "--model.augment=DiffAugment", "--model.augment.policy=[blur]"],
        "'cutout'",
    ),
    "no channels": ([*FIT, f"{GENERATOR}.init_args.base_channels=0"], "base_channels"),
    "no latents": ([*FIT, f"{GENERATOR}.init_args.latent_dim=0"], "latent_dim"),
    "an experiment outside": ([*FIT, "--run.experiment=../x"], "plain name"),
    "a device that is not there": ([*FIT, "--trainer.accelerator=tpu"], "torch_xla"),
    "test without a checkpoint": (["test", "--config=configs/dcgan.yaml"], "--ckpt_path"),
    "a reference to nothing": (
        ["fit", "--config=dangling.yaml"],
        "refers to ${data.init_args.image_sise}",
    ),
    "image size the network cannot make": ([*FIT, "--data.init_args.image_size=48"], "32, 64, 128"),
    "networks that do not fit": (
        [*FIT, f"{GENERATOR}.init_args.image_size=64"],
        "must be the same",
    ),
    "data that do not fit": (
        [*FIT, f"{GENERATOR}.init_args.image_size=64", f"{DISCRIMINATOR}.init_args.image_size=64"],
        "choose the same for both (what data makes, or model.event_shape, image_size and channels)",
    ),
    "data without what is referred to": ([*FIT, "--data=Ring"], "${data.init_args.image_size}"),
    "batch larger than the data": ([*FIT, "--data.init_args.batch_size=2000"], "1437"),
    "batch of nothing": ([*FIT, "--data.init_args.batch_size=0"], "at least 1"),
    "a ratio of nothing": (
        [*FIT, "--model.init_args.schedule.init_args.ratio=0"],
        "Alternating.ratio",
    ),
    "a negative half-life": ([*FIT, "--model.init_args.ema_half_life=-1"], "ema_half_life"),
    "unknown class of the data": ([*FIT, "--data.init_args.keep={ten: 0.5}"], "ten"),
    "missing data folder": ([*FIT, "--data=Folder", "--data.root=nowhere"], "nowhere"),
    "empty data folder": ([*FIT, "--data=Folder", "--data.root=empty"], "empty"),
    "missing data": ([*FIT, "--data=MNIST", "--data.root=nowhere"], "train-images-idx3-ubyte.gz"),
    "several devices that would not agree": (
        [*FIT, "--trainer.devices=2", "--trainer.strategy=ddp_find_unused_parameters_true"],
        "several devices need --trainer.strategy ddp or auto",
    ),
    "nothing to go on from": ([*FIT, "--ckpt_path=last"], "no runs/dcgan/*/checkpoints/last.ckpt"),
    "missing checkpoint": ([*FIT, "--ckpt_path=none.ckpt"], "no checkpoint none.ckpt"),
    "truncated checkpoint": (["sample", "--ckpt_path=truncated.ckpt"], "truncated"),
    "flipped bits in a checkpoint": (["sample", "--ckpt_path=flipped.ckpt"], "checksum of whole/"),
    "no number of devices": ([*FIT, "--trainer.devices=two"], "--trainer.devices is 'two'"),
    "empty checkpoint": (["sample", "--ckpt_path=zero.ckpt"], "truncated or not a checkpoint"),
    "text as a checkpoint": (["test", "--ckpt_path=broken.yaml"], "broken.yaml"),
    "code in a checkpoint": (["sample", "--ckpt_path=evil.ckpt"], "refused"),
    "code in a checkpoint to go on from": ([*FIT, "--ckpt_path=evil.ckpt"], "refused"),
    "weights alone": (["sample", "--ckpt_path=weights.ckpt"], "not a checkpoint of lightning_gans"),
    "unwritable run folder": ([*FIT, "--run.folder=broken.yaml"], "--run.folder"),
    "sample without a checkpoint": (["sample"], "--ckpt_path"),
    "sample of nothing": (["sample", "--ckpt_path=x.ckpt", "-n", "0"], "at least 1"),
    "unknown part of the list": (["list", "modles"], "models"),
}


class Evil:
    def __reduce__(self):
        return (open, ("pwned", "w"))


@pytest.fixture
def mess(lightning):
    """Files that are not what they should be."""
    Path("broken.yaml").write_text("model: [unclosed\n")
    Path("dangling.yaml").write_text(
        "model: {class_path: GAN, init_args: {generator: {class_path: DCGANGenerator, init_args: "
        "{image_size: '${data.init_args.image_sise}'}}, discriminator: "
        "{class_path: DCGANDiscriminator}}}\ndata: {class_path: Digits}\n"
    )
    Path("generatr.yaml").write_text(
        "model: {class_path: GAN, init_args: {generatr: {class_path: DCGANGenerator}}}\n"
        "data: {class_path: Digits}\n"
    )
    Path("empty.yaml").touch()
    Path("boom.py").write_text(
        "def boom(real, fake):\n    return rael\n\n\n"
        "def mean(real, fake):\n    return (real.mean(), fake.mean())\n"
    )
    Path("modle.yaml").write_text("modle: {}\n")
    Path("empty").mkdir()
    Path("zero.ckpt").touch()
    torch.save({"config": Evil(), "clock": {}, "state_dict": {}}, "evil.ckpt")
    torch.save({"weight": torch.zeros(3)}, "weights.ckpt")
    torch.save({"weight": torch.zeros(3000)}, "whole.ckpt")
    whole = Path("whole.ckpt").read_bytes()
    Path("truncated.ckpt").write_bytes(whole[:2000])
    middle = len(whole) // 2  # among the weights, where torch alone would notice nothing
    Path("flipped.ckpt").write_bytes(
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    )


@pytest.mark.parametrize("case", TYPED)
def test_bad_input(case, lightning, mess):
    typed, answered = TYPED[case]
    answer = lightning(*typed)
    said = answer.out + answer.err
    assert answer.code == 2, said
    assert answered in said
    assert "Traceback" not in said and said.count("error:") == 1
    assert len(said.strip().splitlines()) <= 2, said
    assert not Path("pwned").exists()
    assert not list(Path().glob("runs/*/version_*"))


def test_a_pickle_is_not_run_by_torch_either(mess):
    with pytest.raises(pickle.UnpicklingError):
        torch.load("evil.ckpt", weights_only=True)


def test_a_checkpoint_of_another_model_is_refused(trained, lightning):
    answer = lightning(*FIT, f"{GENERATOR}.init_args.latent_dim=7", "--ckpt_path=last")
    assert answer.code == 2
    assert "is of another model" in answer.err and "layers.0.weight" in answer.err


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(asked, lightning):
    process = Command("fit", *TINY_IMAGES, "--trainer.max_epochs=100000")
    run = Path("runs/dcgan/version_0")
    while process.running and not list(run.glob("samples/epoch*")):
        time.sleep(0.01)
    code, said = process.end(asked)
    assert code == 128 + asked, said
    assert "Traceback" not in said
    assert "--resume last" in said and f"stopped by {asked.name} after batch" in said
    checkpoint = run / "checkpoints/last.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    assert content["clock"]["batches_seen"] == content["global_step"] > 0
    hint = said[said.index("  lightning fit") :].split()[1:]
    more = ["--trainer.max_epochs=-1", f"--trainer.max_steps={content['global_step'] + 3}"]
    answer = lightning(*hint, *more)
    assert answer.code == 0, answer.err
    again = torch.load(checkpoint, weights_only=True)
    assert again["global_step"] == content["global_step"] + 3
