from dataclasses import replace

import pytest
import torch

from src.data.split import Splits
from src.errors import UserError
from src.exports.check import choose_images, compare
from src.training.build import load_splits


def test_images_are_those_of_the_test_set(trained_model):
    images, source = choose_images(trained_model, None)
    assert source == "test images of the run"
    assert images.equal(load_splits(trained_model.config).test.images)  # 100


def test_of_many_images_a_thousand_are_taken_from_all(trained_model, monkeypatch):
    splits = load_splits(trained_model.config)
    labels = torch.arange(2500)
    images = (labels % 251).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    many = Splits(**{**vars(splits), "test": replace(splits.test, images=images, labels=labels)})
    monkeypatch.setattr("src.exports.check.load_splits", lambda config: many)
    monkeypatch.setattr("src.exports.check.fingerprint_of", lambda splits: trained_model.fingerprint)
    chosen, _ = choose_images(trained_model, None)
    assert len(chosen) == 1000 and chosen[0].equal(images[0]) and chosen[-1].equal(images[-1])


def test_without_the_data_random_images_are_the_same_each_time(trained_model, monkeypatch):
    def fail(config):
        raise UserError("CIFAR-100 is not in data.")

    monkeypatch.setattr("src.exports.check.load_splits", fail)
    (first, source), (second, _) = (choose_images(trained_model, None) for _ in range(2))
    assert first.shape == (1000, 3, 8, 8) and first.equal(second) and len(first.unique()) == 256
    assert source == "random images, for the run's own cannot be read (CIFAR-100 is not in data)"


def test_other_data_than_that_of_the_run_is_not_called_so(trained_model):
    _, source = choose_images(replace(trained_model, fingerprint="another"), None)
    assert source.startswith("random images, for the run's own cannot be read (the data is not that on which")


def uniform(images):
    return torch.full((len(images), 4), 0.25)


def test_the_largest_difference_counts():
    images, sizes = torch.zeros(500, 3, 8, 8, dtype=torch.uint8), []

    def found(batch):
        sizes.append(len(batch))
        return uniform(batch)

    expected = uniform(images)
    expected[499, 2] += 5e-5
    check = compare(found, images, "random images", expected)
    assert check.difference == pytest.approx(5e-5, rel=1e-2) and check.changed == 1
    assert sizes == [1, 333, 166]  # one alone, and batches of several sizes
    assert "500 random images" in str(check) and "5.0e-05 (allowed: 1e-04)" in str(check)
    assert str(check).endswith("the same for 499")


@pytest.mark.parametrize("wrong", [2e-4, float("nan")])
def test_a_difference_above_the_tolerance_is_an_error(wrong):
    images = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    expected = uniform(images)
    expected[2, 0] += wrong
    with pytest.raises(UserError, match=r"differs from PyTorch by \S+ in a probability, more than 1e-04 \(3 random"):
        compare(uniform, images, "random images", expected)
