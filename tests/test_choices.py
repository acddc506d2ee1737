from src.choices import CONFIG_DIR, choices


def test_choices_of_a_group_are_its_files_without_those_for_others():
    assert {"course2021/deep", "quickstart"} <= set(choices("experiment"))
    assert not [name for name in choices("experiment") + choices("model") if name.rpartition("/")[2].startswith("_")]


def test_the_config_folder_is_that_of_the_checkout():
    assert (CONFIG_DIR / "train.yaml").is_file()
