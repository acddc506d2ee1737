from src.search.jobs import folder_name


def test_job_folders_need_no_quotes():
    overrides = ["experiment=report/deep", "model.dense=[128,64]", "++optimizer.lr=1e-3"]
    name = folder_name(3, overrides, ["experiment", "model.dense", "++optimizer.lr"])
    assert name == "3_experiment-report-deep_model.dense-128-64_optimizer.lr-1e-3"


def test_job_folders_name_what_is_swept():
    assert folder_name(1, ["data.augment=True", "data.mean=[0.5,0.5,0.5]", "seed=1"], ["seed"]) == "1_seed-1"
