import time

import pytest
import torch
from torch import nn

from src.data.rng import DROPOUT, derive_seed
from src.errors import UserError
from src.training.averaging import refresh_average
from src.training.build import build_model, build_preprocess, load_splits
from src.training.device import choose_placement
from src.training.inference import Classifier
from src.training.ranks import ALONE, is_lost_connection
from src.training.sync_batch_norm import synchronize_batch_norms
from src.training.trainer import Trainer
from tests.training.conftest import TINY
from tests.training.ranks import in_ranks

# 100 images in batches of 25
RUN = (*TINY, "data=synthetic", "data.holdout=1", "logger=quiet", "trainer.epochs=1")
NETWORK = ("model=speedrun", "model.widths=[8,16,24]", "model.dirac=false")


def test_a_process_alone_changes_nothing():
    tensor = torch.ones(3)
    assert ALONE.own_rows(tensor) is tensor and ALONE.sum(tensor) is tensor and tensor.tolist() == [1, 1, 1]
    assert ALONE.is_leader and ALONE.largest(7) == 7 and ALONE.share("x") == "x"
    assert ALONE.leader_first(lambda: "done") == "done"


def test_ranks_share_sum_and_agree(tmp_path):
    def work(ranks):
        rows = ranks.own_rows(torch.arange(5))
        signal = ranks.largest(15 if ranks.rank == 1 else 0)
        return rows.tolist(), signal, ranks.share(f"of {ranks.rank}"), ranks.sum(torch.tensor(float(ranks.rank))).item()

    rows, signals, shared, sums = zip(*in_ranks(3, tmp_path, work), strict=True)
    assert rows == ([0, 1], [2, 3], [4]) and signals == (15, 15, 15) and shared == ("of 0",) * 3 and sums == (3, 3, 3)


def test_more_ranks_than_rows_leaves_some_without(tmp_path):
    assert in_ranks(3, tmp_path, lambda ranks: len(ranks.own_rows(torch.zeros(2, 4)))) == [1, 1, 0]


def test_gradients_are_summed_whatever_their_layout_and_dtype(tmp_path):
    def work(ranks):
        weights = [torch.zeros(2, 3, 2, 2), torch.zeros(4, dtype=torch.float64), torch.zeros(1)]
        for number, weight in enumerate(weights[:2]):
            values = torch.arange(weight.numel(), dtype=weight.dtype).view(weight.shape)
            weight.grad = values * (ranks.rank + 1) + number
        weights[0].grad = weights[0].grad.contiguous(memory_format=torch.channels_last)
        ranks.sum_gradients(weights)
        assert weights[2].grad is None
        return [weight.grad for weight in weights[:2]]

    for grads in in_ranks(2, tmp_path, work):
        assert grads[0].equal(3.0 * torch.arange(24).view(2, 3, 2, 2))
        assert grads[1].equal(3 * torch.arange(4, dtype=torch.float64) + 2)


def test_the_leader_downloads_and_the_others_wait(tmp_path):
    marker = tmp_path / "downloaded"

    def work(ranks):
        if ranks.is_leader:
            time.sleep(0.3)
        return ranks.leader_first(lambda: marker.exists() or marker.touch())

    assert in_ranks(2, tmp_path / "ranks", work) == [None, True]


def test_other_data_on_another_machine_is_refused(tmp_path):
    def work(ranks):
        try:
            ranks.require_equal("abc" if ranks.is_leader else "def", "the data")
        except UserError as error:
            return str(error)

    assert in_ranks(2, tmp_path, work) == [
        None,
        "the data of process 1 differs from that of process 0; give both the same.",
    ]


def test_an_ended_rank_is_noticed_at_once(tmp_path):
    def work(ranks):
        if not ranks.is_leader:
            return None
        started = time.monotonic()
        with pytest.raises(RuntimeError) as caught:
            for _ in range(2):
                ranks.sum(torch.ones(1))
        return is_lost_connection(caught.value), time.monotonic() - started < 20

    assert in_ranks(2, tmp_path, work)[0] == (True, True)
    assert not is_lost_connection(RuntimeError("size mismatch")) and not is_lost_connection(ValueError("gloo"))


def trained(config, ranks, run_dir):
    """State and metrics after an epoch."""
    torch.manual_seed(0)
    placement, splits = choose_placement(config.trainer, ranks), load_splits(config)
    model = build_model(config, len(splits.classes.names), placement)
    if ranks.size > 1 and config.trainer.sync_batch_norm:
        synchronize_batch_norms(model, ranks)
    trainer = Trainer(config, Classifier(model, build_preprocess(config, placement), placement), splits, run_dir)
    trainer.train_epoch()
    refresh_average(trainer)
    metrics = trainer.validate()
    return {
        "model": {name: value.clone() for name, value in model.state_dict().items()},
        "loss": trainer.meter.mean_loss(),
        "train_top1": trainer.meter.accuracy(),
        "val_loss": metrics.loss,
    }


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        pytest.param(("augmentation=cutmix", "data.augment=true"), marks=pytest.mark.slow),
        pytest.param(("trainer.grad_accumulation_steps=2", "trainer.grad_clip_norm=0.1"), marks=pytest.mark.slow),
        pytest.param(("trainer.sam_rho=0.05",), marks=pytest.mark.slow),
        pytest.param(("trainer.ema_decay=0.9",), marks=pytest.mark.slow),
        pytest.param(("trainer.swa_start=0.1",), marks=pytest.mark.slow),
        pytest.param(("trainer.progressive_resizing=[[0.5,12]]",), marks=pytest.mark.slow),
        pytest.param(("data.batch_size=49",), marks=pytest.mark.slow),  # a last batch of 2 images: none for rank 2
    ],
)
@pytest.mark.parametrize("size", [2, 3])
def test_several_ranks_train_as_one_process_does(config_of, tmp_path, overrides, size):
    config = config_of(*RUN, *NETWORK, "optimizer=sgd", "optimizer.lr=0.01", *overrides)
    alone = in_ranks(1, tmp_path / "alone", lambda _: trained(config, ALONE, tmp_path / "run"))[0]
    together = in_ranks(size, tmp_path / "ranks", lambda ranks: trained(config, ranks, tmp_path / "run"))
    for name, value in alone["model"].items():
        assert torch.allclose(together[0]["model"][name], value, rtol=1e-3, atol=1e-4), name
        assert all(other["model"][name].equal(together[0]["model"][name]) for other in together), name
    for number in ("loss", "train_top1", "val_loss"):
        assert together[0][number] == pytest.approx(alone[number], abs=1e-4)
        assert len({other[number] for other in together}) == 1


def test_muon_keeps_the_ranks_equal(config_of, tmp_path):
    config = config_of(*RUN, *NETWORK, "optimizer=muon")
    first, second = in_ranks(2, tmp_path / "ranks", lambda ranks: trained(config, ranks, tmp_path / "run"))
    assert all(first["model"][name].equal(second["model"][name]) for name in first["model"])


def test_the_masks_of_dropout_differ_between_ranks(tmp_path):
    def work(ranks):
        torch.manual_seed(derive_seed(0, 0, 0, DROPOUT, *ranks.dropout_seed))
        return nn.functional.dropout(torch.ones(64), 0.5)

    first, second = in_ranks(2, tmp_path, work)
    assert not first.equal(second)
