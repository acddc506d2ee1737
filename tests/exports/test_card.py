import json
from dataclasses import replace

from src.exports.card import make_card, make_metadata
from src.exports.check import Check

CHECK = Check(1000, "test images of the run", 2e-6, 0)


def test_the_card_says_what_goes_in_and_comes_out(trained_model):
    card = make_card("onnx", trained_model, CHECK, tta_flip=False)
    assert card.startswith("# baseline: an image classifier as ONNX\n") and "`model.onnx`" in card
    assert "uint8 (N, 3, 8, 8)" in card and "float32 (N, 10)" in card and "the softmax of the logits" in card
    assert "largest difference of a probability 2.0e-06" in card


def test_the_card_has_the_accuracy_of_the_run(trained_model):
    result = trained_model.run_dir.load_result()
    card = make_card("torch_export", trained_model, CHECK, tta_flip=True)
    test, flipped = result["metrics"]["test"], result["tta_flip"]["test"]
    assert f"| test | 100 | {100 * test['top1']:.2f} % | {100 * test['top5']:.2f} % | {test['loss']:.4f} |" in card
    assert f"| test, with mirror images | 100 | {100 * flipped['top1']:.2f} % |" in card
    assert "The export is with mirror images." in card
    assert f"temperature, {result['calibration']['temperature']:.3f}, is not applied" in card


def test_the_card_says_how_the_network_was_trained(trained_model):
    card = make_card("onnx", trained_model, CHECK, tta_flip=False)
    assert trained_model.run_dir.load_result()["commands"][0] in card
    assert "150 training images" in card and "torch.optim.Adam" in card and trained_model.fingerprint in card


def test_a_checkpoint_that_the_run_did_not_evaluate_has_no_accuracy(trained_model):
    card = make_card("onnx", replace(trained_model, checkpoint="last"), CHECK, tta_flip=False)
    assert "did not evaluate its last checkpoint" in card and "| test |" not in card


def test_the_card_of_weights_names_their_network(trained_model):
    card = make_card("safetensors", trained_model, CHECK, tta_flip=False)
    assert "`src.models.convnet.ConvNet`" in card and "blocks=[[8]]" in card and "num_classes=10" in card
    assert "mean [0.5, 0.4, 0.3] and std [0.2, 0.3, 0.4]" in card


def test_metadata_rebuilds_the_network(trained_model):
    from src.targets import build

    facts = {name: json.loads(text) for name, text in make_metadata(trained_model).items()}
    network = build(facts["model"], "model")
    network.load_state_dict(trained_model.classifier.model.state_dict())
    assert facts["classes"] == list(trained_model.classes.names) and facts["image_size"] == 8
    assert (facts["mean"], facts["std"]) == ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
