"""The model of a run that has been trained, for `src.evaluate` and `src.predict`."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from src.config import DEVICES, RunConfig, TrainerConfig
from src.data.dataset import Classes
from src.errors import UserError, require_choice
from src.run_dir import RunDir, find_run
from src.training.build import build_model, build_preprocess
from src.training.checkpoint import load_checkpoint, require_same_base
from src.training.device import choose_placement
from src.training.finetune import load_base_weights
from src.training.inference import Classifier


@dataclass(frozen=True)
class TrainedModel:
    """One checkpoint of a run, on a device, with the run's own preprocessing and classes."""

    run_dir: RunDir
    config: RunConfig
    checkpoint: str
    epoch: int
    classes: Classes
    classifier: Classifier

    def logits(self, images: Tensor) -> Tensor:
        """(N, num_classes) float32 on the CPU, of `images` (N, 3, image_size, image_size) uint8."""
        return self.classifier.logits(images).cpu()


def load_trained(run: str, checkpoint: str | None, device: str) -> TrainedModel:
    """Loads a checkpoint of the run in folder `run`, by default the one that the run itself evaluated.

    Raises UserError for a missing run, an unknown, missing or damaged checkpoint, a device that this machine lacks.
    """
    require_choice("device", device, DEVICES)
    run_dir = find_run(run)
    config = run_dir.load_config()
    name = checkpoint or run_dir.evaluated_checkpoint()
    require_choice("checkpoint", name, ("best", "last"))
    content = load_checkpoint(run_dir.checkpoint(name))
    classes = Classes(**content["classes"])
    placement = choose_placement(replace(config.trainer, device=device, precision=_precision(config.trainer, device)))
    model = build_model(config, len(classes.names), placement)
    if config.init.freeze:
        load_base_weights(model, config.init)
    classifier = Classifier(model, build_preprocess(config, placement), placement, config.init.freeze)
    require_same_base(content, classifier, config.init.run)
    try:
        classifier.load_trained_state(content["model"])
    except RuntimeError as error:
        raise UserError(
            f"{run_dir.checkpoint(name)} does not fit the model that {run_dir.config_file} describes: "
            f"{str(error).splitlines()[-1].strip()}"
        ) from error
    return TrainedModel(run_dir, config, name, content["epoch"], classes, classifier)


def _precision(config: TrainerConfig, device: str) -> str:
    """The run's own; a CPU evaluates an fp16 run in fp32."""
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    return "auto" if config.precision == "fp16" and on_cpu else config.precision
