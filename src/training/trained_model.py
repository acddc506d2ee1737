"""The model of a run that has been trained, for `src.evaluate`, `src.predict` and `src.export`."""

from dataclasses import dataclass, replace

from torch import Tensor

from src.config import DEVICES, RunConfig, TrainerConfig
from src.data.dataset import Classes
from src.data.image_rows import ImageRows
from src.errors import UserError, require, require_choice
from src.run_dir import RunDir, find_run
from src.training.build import build_model, build_preprocess
from src.training.checkpoint import load_checkpoint, require_same_base
from src.training.device import choose_placement, problem_of_gpu
from src.training.inference import Classifier
from src.training.initial_weights import load_frozen_parts
from src.trust import load_trusted_config


@dataclass(frozen=True)
class TrainedModel:
    """One checkpoint of a run, on a device, with the run's own preprocessing and classes.

    `fingerprint` is that of the data on which it was trained.
    """

    run_dir: RunDir
    config: RunConfig
    checkpoint: str
    epoch: int
    fingerprint: str
    classes: Classes
    classifier: Classifier

    def logits(self, images: Tensor | ImageRows, mirrored: bool = False) -> Tensor:
        """(N, num_classes) float32 on the CPU, of `images` (N, 3, image_size, image_size) uint8, perhaps mirrored.

        Raises UserError where a logit is not finite.
        """
        logits = self.classifier.logits(images, mirrored=mirrored).cpu()
        require(
            bool(logits.isfinite().all()),
            f"the network of {self.run_dir.path} returns logits that are not finite; try device=cpu, or another "
            "checkpoint",
        )
        return logits

    def probabilities(self, images: Tensor, tta_flip: bool | None = None) -> Tensor:
        """(N, num_classes) float32 on the CPU, of `images` (N, 3, image_size, image_size) uint8.

        With `tta_flip` from the mean logits of each image and its mirror image; None: where the run has
        trainer.tta_flip.
        """
        logits = self.logits(images)
        if self.flips(tta_flip):
            logits = self.average_mirrored(logits, images)
        return logits.softmax(dim=1)

    def flips(self, tta_flip: bool | None) -> bool:
        """`tta_flip`, or trainer.tta_flip of the run where that is None."""
        return self.config.trainer.tta_flip if tta_flip is None else tta_flip

    def average_mirrored(self, logits: Tensor, images: Tensor | ImageRows) -> Tensor:
        """The mean of `logits`, those of `images`, and the logits of their mirror images."""
        return (logits + self.logits(images, mirrored=True)) / 2


def load_trained(run: str, checkpoint: str | None, device: str, trust: bool) -> TrainedModel:
    """Loads a checkpoint of the run in folder `run`, by default the one that the run itself evaluated.

    Raises UserError for a missing run, an unknown, missing or damaged checkpoint, a device that this machine lacks, and
    for a run whose model is code that must be trusted first.
    """
    require_choice("device", device, DEVICES)
    run_dir = find_run(run)
    config = load_trusted_config(run_dir, trust, ("model", "data.source"))
    name = run_dir.evaluated_checkpoint() if checkpoint is None else checkpoint
    require_choice("checkpoint", name, ("best", "last"))
    path = run_dir.checkpoint(name)
    content = load_checkpoint(path)
    classes = Classes.from_saved(content["classes"], path)
    placement = choose_placement(replace(config.trainer, device=device, precision=_precision(config.trainer, device)))
    if config.model.get("weights"):  # a file of pretrained weights: the checkpoint holds all that it needs
        config.model["weights"] = None
    model = build_model(config, len(classes.names), placement)
    init, preprocess = config.init, build_preprocess(config, placement)
    if init.keeps_base:
        load_frozen_parts(model, init)
    classifier = Classifier(model, preprocess, placement, init.frozen_parts, init.keeps_base)
    require_same_base(content, classifier, config.init.run)
    try:
        classifier.load_trained_state(content["model"])
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit the model that {run_dir.config_file} describes: {str(error).splitlines()[-1].strip()}"
        ) from error
    return TrainedModel(run_dir, config, name, content["epoch"], content["fingerprint"], classes, classifier)


def _precision(config: TrainerConfig, device: str) -> str:
    """The run's own; a CPU evaluates an fp16 or tf32 run in fp32."""
    on_cpu = device == "cpu" or problem_of_gpu() is not None
    return "auto" if config.precision in ("fp16", "tf32") and on_cpu else config.precision
