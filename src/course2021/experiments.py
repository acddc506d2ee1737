"""The course report's numbers: its experiments, and what it concluded from them."""

import re
from typing import NamedTuple


class Experiment(NamedTuple):
    """`accuracy` after the last epoch, of one run on a GPU; `time` and `remark` as the course report states them."""

    accuracy: float | None
    time: str
    remark: str = ""


# By the name of the preset in conf/experiment/course2021/. The last two are not in the course report; claims need them.
EXPERIMENTS = {
    "baseline": Experiment(0.366, "7 min 09 s"),
    "deep": Experiment(0.4856, "36 min 14 s"),
    "search": Experiment(0.25036, "47 min 51 s", "best of 10 candidates, std 0.036 over 5 folds"),
    "deep_two_dense": Experiment(0.51, "about as deep", 'stated as "training accuracy"'),
    "deep_augmented": Experiment(0.592, "50 min 16 s"),
    "single": Experiment(0.48, "1 h 07 min", 'stated as "training accuracy"'),
    "deeper": Experiment(0.4875, "38 min 17 s"),
    "deep_dropout": Experiment(0.53, "15 min 40 s"),
    "deep_augmented_dropout": Experiment(0.63, "48 min", "its best model"),
    "deep_augmented_dropout_relu": Experiment(None, "-", "not in the course report"),
    "deep_no_batch_norm": Experiment(None, "-", "not in the course report"),
}


class Claim(NamedTuple):
    """A conclusion of the course report: the sign of a sum of accuracies, such as deep_dropout - deep."""

    text: str
    formula: str
    expected: str  # positive, negative or nothing

    @property
    def weights(self) -> dict[str, int]:
        """The factors in the formula, {"deep_dropout": 1, "deep": -1}."""
        terms = re.findall(r"([+-]?) ?(\d?) ?(\w+)", self.formula)
        return {name: int(f"{sign}{factor or 1}") for sign, factor, name in terms}


CLAIMS = (
    Claim("Augmentation helps.", "deep_augmented - deep", "positive"),
    Claim("Dropout helps.", "deep_dropout - deep", "positive"),
    Claim("Batch norm helps.", "deep - deep_no_batch_norm", "positive"),
    Claim("Augmentation helps more than dropout.", "deep_augmented - deep_dropout", "positive"),
    Claim("Dropout helps more than batch norm.", "deep_dropout + deep_no_batch_norm - 2 deep", "positive"),
    Claim("Augmentation and dropout together do better than augmentation alone.",
          "deep_augmented_dropout - deep_augmented", "positive"),
    Claim("More depth than that of deep brings nothing.", "deeper - deep", "nothing"),
    Claim("One convolution cannot separate the classes.", "single - deep_augmented", "negative"),
)  # fmt: skip
