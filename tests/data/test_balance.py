import torch

from src.data.balance import balanced_weights, class_weights

LABELS = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2])


def test_weights_are_inverse_to_the_number_of_images():
    assert class_weights(LABELS, 3).tolist() == [0.5, 1.5, 3.0]
    assert class_weights(LABELS, 4).tolist()[3] == 2.25  # no images: as if it had one


def test_the_mean_weight_of_an_image_is_1():
    assert balanced_weights(LABELS).mean() == 1
