import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from src.data.augment import Augmentation
from src.errors import UserError
from src.optim.schedules import cosine
from src.results import terminal
from src.results.history import read_history
from src.results.run_folder import RunFolder
from src.training import loop
from src.training.device import Placement
from src.training.prepare import load_data, make_learner, make_loader, make_network
from src.training.trained import load_trained
from tests.conftest import SMALL

PLACEMENT = Placement(torch.device("cpu"), None, torch.channels_last)


def weights(folder, name="last"):
    return torch.load(folder.checkpoint(name), weights_only=True)["model"]


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_learns_and_leaves_the_promised_files(small, trained):
    folder = trained(
        small("trainer.epochs=4", "optimizer.lr=0.005", "data.mean=[0.5,0.5,0.5]", "data.std=[0.2,0.2,0.2]")
    )
    rows = read_history(folder.history)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[3]["train_loss"] < rows[0]["train_loss"] - 0.05
    result = folder.load_result()
    assert (result["status"], result["stopped_by"], result["epochs"], result["steps"]) == ("completed", "epochs", 4, 32)
    assert set(result["metrics"]["test"]) == {"loss", "top1", "top5", "superclass", "images"}
    assert (result["data"]["train_images"], result["data"]["validation_images"]) == (500, 100)
    for path in ("config.yaml", "train.log", "summary.txt", "per_class.csv", "test_logits.pt", "checkpoints/best.pt"):
        assert (folder.path / path).is_file()
    assert {path.name for path in folder.figures.iterdir()} == {
        "samples.png", "accuracy.png", "loss.png", "confusion_matrix.png"
    }  # fmt: skip


@pytest.mark.parametrize("network", [("model=speedrun", "model.widths=[8,16,24]"), ("model=deep", "model.width=0.1")])
def test_images_are_trained_on_at_their_sizes_and_evaluated_as_they_are(composed, trained, monkeypatch, network):
    seen = []
    genuine = loop.resized
    monkeypatch.setattr(loop, "resized", lambda images, size: seen.append(size) or genuine(images, size))
    shares = []
    monkeypatch.setattr(
        "src.training.run.LiveTable", lambda *args: shares.append(args[-1](0.5)) or terminal.LiveTable(*args)
    )
    overrides = [text for text in SMALL if not text.startswith("model")]
    folder = trained(composed(*overrides, *network, "trainer.sizes=[[0.5,16]]"))
    assert seen == [16] * 8 + [None] * 8  # 500 images in batches of 64, twice
    assert shares == pytest.approx([1 / (1 + 2**1.4)])  # what the table takes the first half for
    assert folder.load_result()["status"] == "completed"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["trainer.sizes=[[0.5,2]]"], "takes no images of 2 pixels beside those of 32"),
        (["data.augment=true", "data.alternate_flip=true"], "does not flip at random"),
        (["data.augment=true", "augmentation=trivial_augment", "data.alternate_flip=true"], "does not flip at random"),
    ],
)
def test_what_does_nothing_or_cannot_be_is_refused(small, trained, overrides, sentence):
    with pytest.raises(UserError, match=sentence):
        trained(small(*overrides))


def test_both_sides_are_evaluated_apart(small, trained):
    plain, both = trained(small(), "plain"), trained(small("trainer.both_sides=true"), "both")
    result = both.load_result()
    assert result["metrics"] == plain.load_result()["metrics"] and plain.load_result()["both_sides"] is None
    network = load_trained(str(both.path), None, "cpu")
    test = load_data(both.load_config()).test
    logits = (network.logits(test.images) + network.logits(test.images.flip(-1))) / 2
    accuracy = (logits.argmax(dim=1) == test.labels).float().mean().item()
    assert result["both_sides"]["test"]["top1"] == pytest.approx(accuracy)
    assert "top1, both sides" in both.log.read_text() and "both sides" not in plain.log.read_text()


def test_equal_configs_give_equal_weights_and_another_seed_others(small, trained):
    runs = [trained(small(f"seed={seed}"), name) for seed, name in ((0, "a"), (0, "b"), (1, "c"))]
    assert equal(weights(runs[0]), weights(runs[1]))
    assert not equal(weights(runs[0]), weights(runs[2]))
    splits = [run.load_result()["data"]["fingerprint"] for run in runs]
    assert splits[0] == splits[2]  # the held-out images are chosen by data.split_seed


def test_the_last_epochs_row_is_what_the_last_checkpoint_gives(small, trained):
    folder = trained(small("data.validation=test"))
    result = folder.load_result()
    assert result["evaluated"] == "last" and not folder.checkpoint("best").exists()
    assert read_history(folder.history)[-1]["val_top1"] == result["metrics"]["test"]["top1"]
    assert result["metrics"]["val"] == result["metrics"]["test"]


def test_without_validation_the_last_checkpoint_is_evaluated(small, trained):
    folder = trained(small("data.validation=none"))
    result = folder.load_result()
    assert (result["evaluated"], result["metrics"]["val"], result["data"]["train_images"]) == ("last", None, 600)
    assert [row["val_loss"] for row in read_history(folder.history)] == [None, None]


def test_best_is_the_epoch_of_the_highest_validation_accuracy(small, trained):
    folder = trained(small("trainer.epochs=5", "optimizer.lr=0.01"))
    rows, result = read_history(folder.history), folder.load_result()
    best = max(rows, key=lambda row: row["val_top1"])
    assert result["evaluated_epoch"] == best["epoch"]
    assert result["metrics"]["val"]["top1"] == best["val_top1"]
    assert [row["epoch"] for row in rows if row["clean_train_top1"] is not None] == [best["epoch"]]
    assert best["clean_train_top1"] == result["metrics"]["train"]["top1"]


def test_accumulating_two_batches_is_one_batch_of_twice_the_size(small, trained):
    whole = trained(small("data.batch_size=100", "trainer.epochs=1", "optimizer=sgd"), "whole")
    halves = trained(small("data.batch_size=50", "trainer.accumulate=2", "trainer.epochs=1", "optimizer=sgd"), "halves")
    assert whole.load_result()["steps"] == halves.load_result()["steps"] == 5
    for name, value in weights(whole).items():
        assert torch.allclose(value, weights(halves)[name], atol=1e-6)


def test_a_smaller_last_group_of_batches_is_averaged_over_its_own(small, trained):
    settings = ("data.limit=200", "trainer.epochs=1", "optimizer=sgd", "optimizer.lr=1")
    groups = trained(small("data.batch_size=50", "trainer.accumulate=3", *settings), "groups")
    assert groups.load_result()["steps"] == 2  # of 150 images and of 50

    config = small("data.batch_size=50", *settings)
    learner = make_learner(config, make_network(config, PLACEMENT), PLACEMENT, Augmentation(), 4)
    loader, _ = make_loader(config, load_data(config).train, PLACEMENT)
    batches = list(loader.batches(0))
    for group in (batches[:3], batches[3:]):
        images, labels = (torch.cat(parts) for parts in zip(*group, strict=True))
        learner.objective(images, labels, ())[0].backward()
        learner.optimizer.step()
        learner.optimizer.zero_grad()
    for name, value in learner.model.state_dict().items():
        assert torch.allclose(value, weights(groups)[name], atol=1e-5)


@pytest.mark.parametrize("settings", [("data.limit=30",), ("data.limit=30", "data.validation=none")])
def test_fewer_images_than_classes_train_to_the_end(small, trained, settings):
    assert trained(small(*settings)).load_result()["status"] == "completed"


def test_weights_that_the_last_step_destroyed_are_not_evaluated(small, trained, tmp_path):
    with pytest.raises(UserError, match="no longer a finite number"):
        trained(
            small("optimizer=sgd", "optimizer.lr=1e38", "data.limit=64", "trainer.epochs=1", "data.validation=none")
        )
    assert RunFolder(tmp_path / "run").load_result()["status"] == "failed"


def test_clipping_bounds_the_step(small, trained):
    settings = ("optimizer=sgd", "optimizer.lr=1", "trainer.epochs=1", "trainer.clip_norm=0.001")
    folder = trained(small(*settings))
    start = make_network(folder.load_config(), PLACEMENT).state_dict()
    moved = sum((weights(folder)[name] - start[name]).square().sum() for name in start).sqrt()
    assert 0.0005 < moved <= 8 * 0.001 * 1.001  # eight steps of at most 0.001


def test_the_schedule_moves_with_every_step(small, trained):
    folder = trained(small("scheduler=cosine", "trainer.epochs=2"))
    lrs = [row["lr"] for row in read_history(folder.history)]
    assert lrs == pytest.approx([1e-3 * cosine(7 / 8, 2), 1e-3 * cosine(15 / 8, 2)])


def test_patience_ends_a_run_that_no_longer_improves(small, trained):
    folder = trained(small("trainer.epochs=30", "trainer.patience=2", "optimizer.lr=0"))
    result = folder.load_result()
    assert (result["stopped_by"], result["epochs"], result["evaluated_epoch"]) == ("patience", 3, 1)


def test_max_minutes_ends_a_run_with_everything_saved(small, trained):
    folder = trained(small("trainer.epochs=100000", "trainer.max_minutes=0.05"))
    result = folder.load_result()
    assert (result["status"], result["stopped_by"]) == ("completed", "max_minutes")
    assert 0 < result["epochs"] < 100000 and result["seconds"] < 10
    assert result["metrics"]["test"]["images"] == 200


@pytest.mark.parametrize("settings", [("optimizer=sgd", "optimizer.lr=1e30"), ("optimizer.lr=inf",)])
def test_a_loss_that_is_no_number_ends_the_run_with_advice(small, trained, tmp_path, settings):
    with pytest.raises(UserError, match=r"no longer a finite number.*lower optimizer.lr"):
        trained(small(*settings))
    folder = RunFolder(tmp_path / "run")
    assert folder.load_result()["status"] == "failed"
    assert "no longer a finite number" in folder.load_result()["reason"]
    assert all(value.isfinite().all() for value in weights(folder).values())


def test_per_image_augmentation_trains_in_the_same_loop(small, trained):
    folder = trained(small("data.augment=true", "augmentation=trivial_augment", "data.workers=0"))
    assert folder.load_result()["status"] == "completed"
    plain = trained(small(), "plain")
    assert not equal(weights(folder), weights(plain))


def test_normalised_pixels_and_label_smoothing_change_the_loss_as_computed(small, trained):
    smooth = trained(small("trainer.label_smoothing=0.5", "trainer.epochs=1", "optimizer.lr=0"))
    plain = trained(small("trainer.epochs=1", "optimizer.lr=0"), "plain")
    assert read_history(smooth.history)[0]["val_loss"] == read_history(plain.history)[0]["val_loss"]
    assert read_history(smooth.history)[0]["train_loss"] != read_history(plain.history)[0]["train_loss"]


@pytest.mark.slow
def test_compiled_and_eager_training_agree(small, trained):
    settings = ("data.augment=true", "trainer.epochs=1", "data.limit=192", "optimizer=sgd")
    eager, compiled = (trained(small(*settings, f"trainer.compile={on}"), on) for on in ("false", "true"))
    for name, value in weights(eager).items():
        assert torch.allclose(value, weights(compiled)[name], atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_cuda_learns_as_the_cpu_does(small, trained, precision):
    settings = ("optimizer=sgd", "optimizer.lr=0.05", "trainer.epochs=2")
    cpu = trained(small(*settings, "trainer.device=cpu"), "cpu")
    cuda = trained(small(*settings, "trainer.device=cuda", f"trainer.precision={precision}"), "cuda")
    losses = [read_history(folder.history)[-1]["train_loss"] for folder in (cpu, cuda)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


class Reads(TorchDispatchMode):
    """Counts how often the host waits for a number of the device: behind `item`, `bool`, `nonzero` and the like."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        waits = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        self.count += operation in waits
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer=muon", "augmentation=cutmix", "trainer.clip_norm=1"),
        ("optimizer=sgd", "augmentation=affine", "trainer.sizes=[[0.5,24]]", "trainer.accumulate=2"),
    ],
)
def test_no_step_waits_for_the_device(small, trained, monkeypatch, overrides):
    counts, genuine = [], loop.train_epoch

    def watched(run, progress, session):
        with Reads() as reads:
            done = genuine(run, progress, session)
        counts.append(reads.count)
        return done

    monkeypatch.setattr(loop, "train_epoch", watched)
    monkeypatch.setattr("src.training.session.LOOK_SECONDS", 1e9)
    trained(small("data.augment=true", *overrides))
    assert counts == [2, 2]  # the sums of loss and of correct predictions, once per epoch of eight steps
