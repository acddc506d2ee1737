"""The network of a run that has been trained: what `src.evaluate`, `src.predict` and `src.report` work with."""

from dataclasses import dataclass, replace

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from src.config import typed
from src.data.images import Classes
from src.errors import UserError, require, require_choice
from src.results.comparison import Comparison
from src.results.report import BestRun
from src.results.run_folder import RunFolder, find
from src.schemas import DEVICES, TrainerConfig
from src.training.checkpoint import load_checkpoint, require_base
from src.training.device import Placement, choose_placement
from src.training.evaluation import compute_logits
from src.training.learner import Preprocess, frozen_hash, load_trained_state
from src.training.prepare import make_network, make_preprocess


@dataclass(frozen=True)
class Trained:
    """One checkpoint of a run, on a device, with the run's own preprocessing and classes."""

    folder: RunFolder
    config: DictConfig
    checkpoint: str
    epoch: int
    classes: Classes
    network: nn.Module
    preprocess: Preprocess
    placement: Placement

    def logits(self, images: Tensor) -> Tensor:
        """(N, num_classes) float32 on the CPU, of `images` (N, 3, image_size, image_size) uint8."""
        return compute_logits(self.network, images, self.preprocess, self.placement).cpu()


def load_trained(run: str, checkpoint: str | None, device: str) -> Trained:
    """Raises UserError for a missing run, an unknown, missing or damaged checkpoint, a device that is not there."""
    folder = find(run)
    name = checkpoint or folder.load_result().get("evaluated") or "last"
    require_choice("checkpoint", name, ("best", "last"))
    config = folder.load_config()
    settings = typed(config)[1]
    require_choice("device", device, DEVICES)
    placement = choose_placement(replace(settings, device=device, precision=_precision(settings, device)))
    require(config.data.num_classes is not None, f"run={run} ended before its data was read; train it again")
    if not config.init.freeze:
        config.init.run = None  # where its training began: the checkpoint holds all of it
    network = make_network(config, placement)
    content = load_checkpoint(folder.checkpoint(name))
    require_base(content, frozen_hash(network, config.init.freeze), config.init.run)
    try:
        load_trained_state(network, content["model"], config.init.freeze)
    except RuntimeError as error:
        raise UserError(
            f"{folder.checkpoint(name)} does not fit the network that {folder.config} describes: "
            f"{str(error).splitlines()[-1].strip()}"
        ) from error
    classes = Classes(**content["classes"])
    return Trained(
        folder, config, name, content["epoch"], classes, network, make_preprocess(config, placement), placement
    )


def _precision(settings: TrainerConfig, device: str) -> str:
    """The run's own, but for fp16 where there is no CUDA device: a CPU evaluates that run in fp32."""
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    return "auto" if settings.precision == "fp16" and on_cpu else settings.precision


def best_run(comparison: Comparison) -> BestRun | None:
    """The best run of the best setting, with its logits on the test set; None where none was evaluated there."""
    for row in comparison.rows:
        measured = [record for record in row.records if record.metric(comparison.metric) is not None]
        downwards = comparison.direction == "maximize"
        for record in sorted(measured, key=lambda record: record.metric(comparison.metric), reverse=downwards):
            if record.folder.test_logits.exists():
                saved = torch.load(record.folder.test_logits, weights_only=True)
                content = load_checkpoint(record.folder.checkpoint(record.result.get("evaluated") or "last"))
                return BestRun(record, saved["logits"], saved["labels"], Classes(**content["classes"]))
    return None
