"""CIFAR-100 and CIFAR-10 (Krizhevsky 2009) through torchvision, which downloads missing files and checks their MD5."""

from contextlib import suppress
from pathlib import Path

import torch
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import check_integrity

from src.data.dataset import Classes, ImageDataset, LabeledImages
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

    `root` holds the files or receives the download. Raises UserError where the files are damaged, or missing and the
    download fails.
    """
    classes = Classes.from_groups({group: names.split() for group, names in CIFAR100_SUPERCLASSES.items()})
    return _load(CIFAR100, "CIFAR-100", root, classes)


def cifar10(root: str) -> ImageDataset:
    """CIFAR-10: 50,000 + 10,000 images (N, 3, 32, 32) uint8 of 10 classes. `root` and errors as for `cifar100`."""
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    return _load(CIFAR10, "CIFAR-10", root, Classes(tuple(names.split())))


def _load(dataset: type[CIFAR10], name: str, root: str, classes: Classes) -> ImageDataset:
    folder = Path(root).expanduser()
    is_new = not folder.exists()
    try:
        parts = [dataset(str(folder), train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError, EOFError) as error:
        files = {folder / dataset.base_folder / file: md5 for file, md5 in dataset.train_list + dataset.test_list}
        files[folder / dataset.filename] = dataset.tgz_md5
        damaged = [str(path) for path, md5 in files.items() if path.exists() and not check_integrity(str(path), md5)]
        state = f"is damaged in {folder} ({', '.join(damaged)}: wrong checksum)" if damaged else f"is not in {folder}"
        if is_new:  # torchvision made it for the download
            with suppress(OSError):
                folder.rmdir()
        reason = str(error).strip() or type(error).__name__
        raise UserError(
            f"{name} {state} and could not be downloaded ({reason}): put {dataset.filename} from {dataset.url} into "
            f"{folder}, or name the folder that holds it with data.root=..., or train without it with data=synthetic."
        ) from error
    train, test = (
        LabeledImages(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets))
        for part in parts
    )
    return ImageDataset(train, test, classes)
