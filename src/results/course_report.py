"""The course report of 2021 in figures: its experiments, and what it concluded from them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Experiment:
    """`accuracy` after the last epoch, of one run on a GPU; `time` and `remark` as the report tells them."""

    accuracy: float | None
    time: str
    remark: str = ""


# By the name of the preset in conf/experiment/report/; the last two are not the report's, its claims need them.
EXPERIMENTS: dict[str, Experiment] = {
    "baseline": Experiment(0.366, "7 min 09 s"),
    "deep": Experiment(0.4856, "36 min 14 s"),
    "search": Experiment(0.25036, "47 min 51 s", "best of 10 candidates, std 0.036 over 5 folds"),
    "deep_two_dense": Experiment(0.51, "about as deep", 'it says "training accuracy"'),
    "deep_augmented": Experiment(0.592, "50 min 16 s"),
    "single": Experiment(0.48, "1 h 07 min", 'it says "training accuracy"'),
    "deeper": Experiment(0.4875, "38 min 17 s"),
    "deep_dropout": Experiment(0.53, "15 min 40 s"),
    "deep_augmented_dropout": Experiment(0.63, "48 min", "its best model"),
    "deep_augmented_dropout_relu": Experiment(None, "-", "not in the report"),
    "deep_no_batch_norm": Experiment(None, "-", "not in the report"),
}


@dataclass(frozen=True)
class Claim:
    """What the report says, as a sum of accuracies that should then be above 0, below 0, or nothing.

    `terms` are (experiment, weight): deep_dropout - deep is (("deep_dropout", 1), ("deep", -1)).
    """

    text: str
    terms: tuple[tuple[str, int], ...]
    expected: str  # positive, negative or nothing

    @property
    def formula(self) -> str:
        signs = {1: "+", -1: "-", 2: "+ 2", -2: "- 2"}
        return " ".join(f"{signs[weight]} {name}" for name, weight in self.terms).removeprefix("+ ")


CLAIMS = (
    Claim("Augmentation helps.", (("deep_augmented", 1), ("deep", -1)), "positive"),
    Claim("Dropout helps.", (("deep_dropout", 1), ("deep", -1)), "positive"),
    Claim("Batch norm helps.", (("deep", 1), ("deep_no_batch_norm", -1)), "positive"),
    Claim("Augmentation helps more than dropout.", (("deep_augmented", 1), ("deep_dropout", -1)), "positive"),
    Claim(
        "Dropout helps more than batch norm.",
        (("deep_dropout", 1), ("deep_no_batch_norm", 1), ("deep", -2)),
        "positive",
    ),
    Claim(
        "Augmentation and dropout together do better than augmentation alone.",
        (("deep_augmented_dropout", 1), ("deep_augmented", -1)),
        "positive",
    ),
    Claim("More depth than that of deep brings nothing.", (("deeper", 1), ("deep", -1)), "nothing"),
    Claim("One convolution cannot separate the classes.", (("single", 1), ("deep_augmented", -1)), "negative"),
)
