"""The choices of each config group, and where their files lie."""

from pathlib import Path

from hydra.core.global_hydra import GlobalHydra

SRC = Path(__file__).resolve().parent
CONFIG_DIR = next(path for path in (SRC / "conf", SRC.parent / "conf") if path.is_dir())  # installed wheel, or checkout


def config_folders() -> list[Path]:
    """conf/ and, where the command line names one, --config-dir."""
    if not GlobalHydra.instance().is_initialized():
        return [CONFIG_DIR]
    search_path = GlobalHydra.instance().config_loader().get_search_path().get_path()
    added = [element.path for element in search_path if element.provider == "command-line"]
    return [CONFIG_DIR, *(Path(path.removeprefix("file://")) for path in added)]


def choices(group: str) -> list[str]:
    """The choices of a config group, those of --config-dir too: "course2021/deep" and the like."""
    folders = [folder / group for folder in config_folders()]
    paths = {path.relative_to(folder) for folder in folders for path in folder.rglob("*.yaml")}
    return sorted(path.with_suffix("").as_posix() for path in paths if not path.name.startswith("_"))
