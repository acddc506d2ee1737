import pytest

from src.training import saving


def test_a_run_saves_within_its_epochs(tiny, trainer_of, monkeypatch):
    monkeypatch.setattr("src.training.clock.LOG_SECONDS", 0.0)
    saved, genuine = [], saving.save
    monkeypatch.setattr(saving, "save", lambda self, name: saved.append(self.state.batch) or genuine(self, name))
    trainer = trainer_of(tiny("trainer.checkpoint_minutes=1e-9"))
    trainer.run_dir.path.mkdir()
    trainer.train_epoch()
    assert saved == [1, 2, 3, 4]


@pytest.mark.parametrize(("stages", "epoch", "ends"), [([], 0, False), ([[0.5, 16]], 0, True), ([[0.5, 16]], 2, False)])
def test_max_minutes_leaves_time_to_evaluate_images_of_full_size(small, trainer_of, monkeypatch, stages, epoch, ends):
    monkeypatch.setattr("src.training.final_eval.num_evaluated", lambda *_: 3000)
    limits = ("trainer.epochs=4", "trainer.max_minutes=1", f"trainer.progressive_resizing={stages}".replace(" ", ""))
    trainer = trainer_of(small(*limits))
    trainer.state.epoch, trainer.clock.started, trainer.clock.ticked = epoch, 0.0, 40.0
    trainer.meter.images, trainer.meter.seconds = 400, 4.0  # 100 images/s: 10 s, or 27 s from 16 pixels to 32
    assert saving.is_out_of_time(trainer) is ends


def test_max_minutes_leaves_time_for_a_validation(small, trainer_of, monkeypatch):
    monkeypatch.setattr("src.training.final_eval.num_evaluated", lambda *_: 0)
    trainer = trainer_of(small("trainer.epochs=4", "trainer.max_minutes=1"))
    trainer.clock.started, trainer.clock.ticked = 0.0, 40.0
    trainer.meter.images, trainer.meter.seconds = 100, 100 * 60 / len(trainer.validation)  # a validation takes 20 s
    assert not saving.is_out_of_time(trainer)
    trainer.clock.ticked = 41.0
    assert saving.is_out_of_time(trainer)


def test_a_save_is_no_time_of_training(tiny, trainer_of):
    trainer = trainer_of(tiny())
    trainer.run_dir.path.mkdir()
    saving.save(trainer, "last")
    assert trainer.clock.ticked >= trainer.clock.saved and trainer.meter.seconds == 0
