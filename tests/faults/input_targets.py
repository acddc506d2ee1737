"""What careless users may name as a _target_: nothing here does what its node needs."""

from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from src.data.augment import Augmentation
from src.data.dataset import Classes, ImageDataset, LabeledImages
from src.loggers.logger import Logger
from tests.quick import draw_images

ONE = 1  # no function


def returns_int(*_: Any, **__: Any) -> int:
    return 1


def returns_none(*_: Any, **__: Any) -> None:
    return None


def returns_text(*_: Any, **__: Any) -> str:
    return "text"


def returns_nan(*_: Any, **__: Any) -> float:
    return float("nan")


def returns_inf(*_: Any, **__: Any) -> float:
    return float("inf")


def returns_negative(*_: Any, **__: Any) -> float:
    return -1.0


def raises_value_error(*_: Any, **__: Any) -> NoReturn:
    raise ValueError("refused by the target")


def raises_key_error(*_: Any, **__: Any) -> NoReturn:
    raise KeyError("refused by the target")


def raises_attribute_error(*_: Any, **__: Any) -> NoReturn:
    raise AttributeError("refused by the target")


def raises_late(epoch: float, epochs: int, **_: Any) -> float:
    if epoch / epochs in (0, 0.5, 1):
        return 1.0
    raise ZeroDivisionError("refused by the target")


class Network(nn.Module):
    """A network that works; its kin below do not."""

    def __init__(self, num_classes: int, image_size: int, **_: Any) -> None:
        super().__init__()
        self.head = nn.Linear(3 * image_size**2, num_classes)

    def forward(self, images: Tensor) -> Any:
        return self.answer(self.head(images.flatten(1)))

    def answer(self, logits: Tensor) -> Any:
        return logits


class ReturnsTuple(Network):
    def answer(self, logits: Tensor) -> Any:
        return logits, logits


class ReturnsNone(Network):
    def answer(self, logits: Tensor) -> Any:
        return None


class ReturnsWrongShape(Network):
    def answer(self, logits: Tensor) -> Any:
        return logits[:, :3]


class ReturnsWholeNumbers(Network):
    def answer(self, logits: Tensor) -> Any:
        return logits.long()


class ReturnsNan(Network):
    def answer(self, logits: Tensor) -> Any:
        return logits * float("nan")


class RaisesValueError(Network):
    def answer(self, logits: Tensor) -> Any:
        raise ValueError("refused by the target")


class RaisesKeyError(Network):
    def answer(self, logits: Tensor) -> Any:
        raise KeyError("refused by the target")


class RaisesInTraining(Network):
    def answer(self, logits: Tensor) -> Any:
        if self.training:
            raise ValueError("refused by the target")
        return logits


class WithoutWeights(nn.Module):
    def __init__(self, num_classes: int, **_: Any) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, images: Tensor) -> Tensor:
        return torch.zeros(len(images), self.num_classes)


class Loss(nn.Module):
    """The base of losses that are none."""

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def forward(self, logits: Tensor, labels: Tensor) -> Any:
        return logits.mean(dim=1)


class LossNone(Loss):
    def forward(self, logits: Tensor, labels: Tensor) -> Any:
        return None


class LossNumber(Loss):
    def forward(self, logits: Tensor, labels: Tensor) -> Any:
        return 1.0


class LossWithoutGradient(Loss):
    def forward(self, logits: Tensor, labels: Tensor) -> Any:
        return logits.detach().mean()


class LossRaises(Loss):
    def forward(self, logits: Tensor, labels: Tensor) -> Any:
        raise KeyError("refused by the target")


class RaisingLogger(Logger):
    def on_run_start(self, run: Any) -> None:
        raise KeyError("refused by the target")


class RaisingLaterLogger(Logger):
    def on_epoch_end(self, history: Any, is_best: bool) -> None:
        raise ValueError("refused by the target")


class Optimizer:
    """No optimizer of PyTorch's."""

    def __init__(self, params: Any, **_: Any) -> None:
        self.params = params


class WrongShape(Augmentation):
    def __init__(self, **_: Any) -> None:
        super().__init__()

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        return images[:, :, 1:]


class RaisingAugmentation(WrongShape):
    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        raise KeyError("refused by the target")


def float_images(**settings: Any) -> ImageDataset:
    return _changed(lambda part: LabeledImages(part.images / 255, part.labels), settings)


def gray_images(**settings: Any) -> ImageDataset:
    return _changed(lambda part: LabeledImages(part.images[:, :1], part.labels), settings)


def too_few_labels(**settings: Any) -> ImageDataset:
    return _changed(lambda part: LabeledImages(part.images, part.labels[:-3]), settings)


def labels_out_of_range(**settings: Any) -> ImageDataset:
    return _changed(lambda part: LabeledImages(part.images, part.labels + 5), settings)


def negative_labels(**settings: Any) -> ImageDataset:
    return _changed(lambda part: LabeledImages(part.images, part.labels - 1), settings)


def without_images(**settings: Any) -> ImageDataset:
    return _changed(lambda part: LabeledImages(part.images[:0], part.labels[:0]), settings)


def without_classes(**settings: Any) -> ImageDataset:
    dataset = draw_images(**settings)
    return ImageDataset(dataset.train, dataset.test, Classes(()))


def tuple_of_tensors(**settings: Any) -> tuple[Tensor, Tensor]:
    dataset = draw_images(**settings)
    return dataset.train.images, dataset.train.labels


def _changed(change: Any, settings: Any) -> ImageDataset:
    dataset = draw_images(**settings)
    return ImageDataset(change(dataset.train), change(dataset.test), dataset.classes)
