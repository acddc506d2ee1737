"""CIFAR-100 and CIFAR-10 through torchvision: found under the root, else downloaded with its integrity check."""

from pathlib import Path

import torch
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import check_integrity

from src.data.images import Classes, ImageDataset, LabelledImages
from src.errors import UserError

CIFAR100_SUPERCLASSES = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}


def cifar100(root: str) -> ImageDataset:
    """CIFAR-100: 50,000 + 10,000 images (N, 3, 32, 32) uint8 of 100 classes in 20 superclasses.

    Raises UserError where the files are neither under `root` nor to be downloaded.
    """
    classes = Classes.from_groups({group: names.split() for group, names in CIFAR100_SUPERCLASSES.items()})
    return _load(CIFAR100, "CIFAR-100", Path(root), classes)


def cifar10(root: str) -> ImageDataset:
    """CIFAR-10: 50,000 + 10,000 images (N, 3, 32, 32) uint8 of 10 classes. Raises UserError as `cifar100` does."""
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    return _load(CIFAR10, "CIFAR-10", Path(root), Classes(tuple(names.split())))


def _load(dataset: type[CIFAR10], name: str, root: Path, classes: Classes) -> ImageDataset:
    try:
        return ImageDataset(_part(dataset, root, train=True), _part(dataset, root, train=False), classes)
    except (OSError, RuntimeError, EOFError) as error:
        raise UserError(_what_to_do(dataset, name, root, error)) from error


def _part(dataset: type[CIFAR10], root: Path, train: bool) -> LabelledImages:
    part = dataset(str(root), train=train, download=True)
    images = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return LabelledImages(images, torch.tensor(part.targets, dtype=torch.int64))


def _what_to_do(dataset: type[CIFAR10], name: str, root: Path, error: Exception) -> str:
    reason = str(error).strip() or type(error).__name__
    files = [(root / dataset.base_folder / file, md5) for file, md5 in dataset.train_list + dataset.test_list]
    damaged = [str(path) for path, md5 in files if path.exists() and not check_integrity(str(path), md5)]
    state = f"is damaged in {root} ({', '.join(damaged)}: wrong checksum)" if damaged else f"is not in {root}"
    return (
        f"{name} {state} and could not be downloaded ({reason}): put {dataset.filename} from {dataset.url} "
        f"into {root}, or name the folder that holds it with data.root=..., or train without it with data=synthetic."
    )
