"""Hydra's own settings and flags: folders of runs and sweeps, sweepers, launchers, config folders, resume."""

from pathlib import Path

from tests.faults.input_damages import set_config
from tests.faults.input_rows_base import NEW_RUN, NOTHING, RESUMED, Prepare, Row, train_rows
from tests.quick import QUICK

SWEEP = ("--multirun", "seed=0,1,2", "trainer.epochs=1")


def foreign_files(*names: str) -> Prepare:
    """Files that belong to nobody here: no command may touch them."""

    def prepare(place: Path) -> None:
        for name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text("mine\n")

    return prepare


def config_folder(name: str, content: str) -> Prepare:
    """A folder for --config-dir with one file."""

    def prepare(place: Path) -> None:
        (place / "mine" / name).parent.mkdir(parents=True)
        (place / "mine" / name).write_text(content)

    return prepare


def train_row(
    name: str, text: str, expected: str, prepare: Prepare | None = None, needs: tuple[str, ...] = (), quick: bool = True
) -> Row:
    """A row of src.train that must write nothing at all, or a folder that it named itself."""
    arguments = (*(QUICK if quick else ()), *text.split())
    return Row("hydra", name, "train", arguments, expected, prepare, False, NEW_RUN, needs)


IN_USE = r"(already holds|holds|not empty|in use|never overwritten|exists|is a file|not a folder|is not a directory)"
FOLDERS = [
    train_row("run.dir: .", "hydra.run.dir=.", rf"hydra\.run\.dir|{IN_USE}", foreign_files("notes.txt")),
    train_row("run.dir: ./", "hydra.run.dir=./", rf"hydra\.run\.dir|{IN_USE}", foreign_files("a/notes.txt")),
    train_row("run.dir: finished run", "hydra.run.dir={run}", r"outputs/run already holds a run.*resume=outputs/run"),
    train_row("run.dir: paused run", "hydra.run.dir={paused}", r"outputs/paused already holds a run.*resume="),
    train_row("run.dir: below a run", "hydra.run.dir={run}/below", r"outputs/run.*(holds|is) a run|hydra\.run\.dir"),
    train_row("run.dir: checkpoints of a run", "hydra.run.dir={run}/checkpoints", r"hydra\.run\.dir|holds|is a run"),
    train_row("run.dir: sweep", "hydra.run.dir={sweep}", rf"outputs/sweep.*{IN_USE}|hydra\.run\.dir"),
    train_row("run.dir: folder of runs", "hydra.run.dir=outputs", rf"outputs.*{IN_USE}|run\.dir", None, ("run",)),
    train_row("run.dir: a file", "hydra.run.dir=notes.txt", rf"notes\.txt.*{IN_USE}|exists.*notes\.txt",
              foreign_files("notes.txt")),
    train_row("run.dir: below a file", "hydra.run.dir=notes.txt/run", r"notes\.txt", foreign_files("notes.txt")),
    train_row("run.dir: foreign files", "hydra.run.dir=mine", rf"mine.*{IN_USE}|hydra\.run\.dir",
              foreign_files("mine/notes.txt", "mine/history.csv")),
    train_row("run.dir: foreign config.yaml", "hydra.run.dir=mine", r"mine", foreign_files("mine/config.yaml")),
    train_row("run.dir: foreign result.json", "hydra.run.dir=mine", r"mine", foreign_files("mine/result.json")),
    train_row("run.dir: foreign checkpoints", "hydra.run.dir=mine", r"mine", foreign_files("mine/checkpoints/last.pt")),
    train_row("run.dir: empty", "hydra.run.dir=", r"hydra\.run\.dir"),
    train_row("run.dir: null", "hydra.run.dir=null", r"hydra\.run\.dir"),
    train_row("run.dir: list", "hydra.run.dir=[a]", r"hydra\.run\.dir"),
    train_row("run.dir: ???", "hydra.run.dir=???", r"hydra\.run\.dir"),
    train_row("run.dir: too long a name", f"hydra.run.dir={'x' * 300}", r"too long a name"),
    train_row("run.dir: not writable", "hydra.run.dir=/proc/cifarlab", r"/proc/cifarlab"),
    train_row("run.dir: a nul byte", "hydra.run.dir=a\0b", r"hydra\.run\.dir|null byte|nul"),
    train_row("run.dir: interpolation", "hydra.run.dir=${nothing}", r"hydra\.run\.dir.*nothing|nothing"),
    train_row("sweep.dir: finished run", "-m seed=0,1 hydra.sweep.dir={run}", r"run.*(holds|is) a run|sweep\.dir"),
    train_row("sweep.dir: .", "-m seed=0,1 hydra.sweep.dir=.", rf"hydra\.sweep\.dir|{IN_USE}", foreign_files("a.txt")),
    train_row("sweep.dir: a file", "-m seed=0,1 hydra.sweep.dir=notes.txt", r"notes\.txt", foreign_files("notes.txt")),
    train_row("sweep.dir: folder of runs", "-m seed=0,1 hydra.sweep.dir=outputs", rf"{IN_USE}|sweep\.dir", None,
              ("run", "paused")),
    train_row("sweep.dir: other sweep", "-m seed=0,1 hydra.sweep.dir={sweep}", r"outputs/sweep holds jobs"),
    train_row("sweep.dir: sweep in another order", "-m seed=2,1,0 trainer.epochs=1 hydra.sweep.dir={sweep}",
              r"outputs/sweep|sweep\.dir"),
    train_row("sweep.dir: foreign files", "-m seed=0,1 hydra.sweep.dir=mine", rf"mine.*{IN_USE}|hydra\.sweep\.dir",
              foreign_files("mine/sweep.csv", "mine/notes.txt")),
    train_row("sweep.dir: a file in place of a job", "-m seed=0,1 hydra.sweep.dir=mine", r"0_seed-0",
              foreign_files("mine/0_seed-0")),
    train_row("sweep.dir: null", "-m seed=0,1 hydra.sweep.dir=null", r"hydra\.sweep\.dir"),
    train_row("sweep.dir: list", "-m seed=0,1 hydra.sweep.dir=[a]", r"hydra\.sweep\.dir"),
    train_row("sweep.subdir: typed", "-m seed=0,1 hydra.sweep.subdir=same", r"hydra\.sweep\.subdir"),
    train_row("output_subdir: typed", "hydra.output_subdir=.hydra", r"hydra\.output_subdir"),
    train_row("job.chdir", "hydra.job.chdir=true", r"hydra\.job\.chdir=true.*not supported"),
    train_row("job.chdir: added", "+hydra.job.chdir=true", r"hydra\.job\.chdir=true.*not supported|append"),
    train_row("job.chdir: abc", "hydra.job.chdir=abc", r"hydra\.job\.chdir"),
    train_row("job.chdir: twice", "hydra.job.chdir=false hydra.job.chdir=true", r"hydra\.job\.chdir"),
    train_row("job.chdir: in an experiment", "--config-dir mine experiment=moves", r"hydra\.job\.chdir",
              config_folder("experiment/moves.yaml", "# @package _global_\nhydra:\n  job:\n    chdir: true\n")),
    train_row("job.chdir: in a sweep's experiment", "-m seed=0,1 --config-dir mine experiment=moves",
              r"hydra\.job\.chdir",
              config_folder("experiment/moves.yaml", "# @package _global_\nhydra:\n  job:\n    chdir: true\n")),
    train_row("mode: in an experiment", "hydra.mode=MULTIRUNS", r"hydra\.mode"),
    train_row("unknown hydra key", "hydra.foo=1", r"hydra\.foo"),
    train_row("hydra: null", "hydra=null", r"hydra"),
    train_row("hydra.run: 3", "hydra.run=3", r"hydra\.run"),
    train_row("job_logging: unknown", "hydra/job_logging=loud", r"hydra/job_logging=loud does not exist"),
]  # fmt: skip

FLAGS = [
    train_row("config-name: unknown", "--config-name x", r"\bx\b.*(does not exist|not found|cannot)|config-name"),
    train_row("config-name: another command's", "--config-name evaluate run=x", r"name|evaluate", None, (), False),
    train_row("config-dir: missing", "--config-dir nowhere", r"nowhere.*(not found|does not exist|missing)"),
    train_row("config-dir: a file", "--config-dir notes.txt", r"notes\.txt", foreign_files("notes.txt")),
    train_row("config-dir: unknown key", "--config-dir mine experiment=typo", r"trainer\.epoch\b",
              config_folder("experiment/typo.yaml", "# @package _global_\ntrainer:\n  epoch: 3\n")),
    train_row("config-dir: broken yaml", "--config-dir mine experiment=typo", r"typo",
              config_folder("experiment/typo.yaml", "# @package _global_\ntrainer: [1\n")),
    train_row("config-dir: not a mapping", "--config-dir mine experiment=typo", r"typo|experiment",
              config_folder("experiment/typo.yaml", "# @package _global_\n- 1\n")),
    train_row("config-dir: without package", "--config-dir mine experiment=typo", r"experiment",
              config_folder("experiment/typo.yaml", "trainer:\n  epochs: 1\n")),
    train_row("config-dir: unknown default", "--config-dir mine experiment=typo", r"model=dep",
              config_folder("experiment/typo.yaml", "# @package _global_\ndefaults:\n  - override /model: dep\n")),
    train_row("config-dir: a wrong value", "--config-dir mine experiment=typo", r"trainer\.epochs.*many",
              config_folder("experiment/typo.yaml", "# @package _global_\ntrainer:\n  epochs: many\n")),
    train_row("config-dir: a model without target", "--config-dir mine model=own", r"model.*_target_",
              config_folder("model/own.yaml", "width: 1\n")),
    train_row("config-dir: an empty model", "--config-dir mine model=own", r"model.*_target_",
              config_folder("model/own.yaml", "")),
    train_row("cfg: hydra with multirun", "--cfg hydra --multirun", r"(cfg|multirun)"),
    train_row("flag: resolve alone", "--resolve", r"--resolve"),
    train_row("argument: an empty text", "''", r"override|read|empty"),
    train_row("argument: a bare name", "deep", r"deep is not an override"),
    train_row("argument: a path", "outputs/run", r"outputs/run is not an override"),
    train_row("argument: ~", "~", r"~"),
    train_row("argument: +", "+", r"\+"),
    train_row("argument: ~missing", "~nothing", r"nothing"),
    train_row("argument: unicode equals", "seed\uff1d1", r"not an override"),
    train_row("argument: key with blanks", "seed =1", r"seed|=1"),
]  # fmt: skip

SWEEPS = [
    ("-m seed=range(3,3)", r"seed=range\(3,3\) has no values"),
    ("-m seed=", r"seed"),
    ("-m seed=0,-1", r"seed=-1"),
    ("-m seed=0,abc", r"seed.*abc"),
    ("-m seed=0,", r"seed=0,"),
    ("-m seed=interval(0,3)", r"interval\(0,3\) has infinitely many"),
    ("-m seed=choice()", r"seed=choice\(\)"),
    ("-m seed=range(0,3,0)", r"seed=range"),
    ("-m seed=range(0,3,-1)", r"seed=range.*no values"),
    ("-m seed=shuffle(3)", r"seed"),
    ("-m model=deep,nothing", r"model=nothing does not exist"),
    ("-m model=glob(nothing*)", r"model=glob\(nothing\*\) has no values"),
    ("-m optimizer.lr=0.1,inf", r"optimizer.*lr.*inf"),
    ("-m trainer.epochs=1,0", r"trainer\.epochs=0"),
    ("-m model.blocks=[[8]],[[0]]", r"blocks"),
    ("-m model.width=1,-1", r"width=-1"),
    ("-m seed=0,1 foo=1,2", r"foo is not a setting"),
    ("-m seed=0,1 resume={paused}", r"resume=.*--multirun"),
    ("-m resume={paused},{run}", r"resume=.*--multirun"),
    ("-m seed=0,1 pause_at=1", r"pause_at=1"),
    ("-m seed=0,1 data.validation=none", r"data\.validation=none measures no"),
    ("-m seed=0,1 hydra.sweeper.metric=top1", r"hydra\.sweeper\.metric=top1"),
    ("-m seed=0,1 hydra.sweeper.metric=null", r"hydra\.sweeper\.metric"),
    ("-m seed=0,1 hydra.sweeper.metric=[a]", r"hydra\.sweeper\.metric"),
    ("-m seed=0,1 hydra.sweeper.metric=3", r"hydra\.sweeper\.metric"),
    ("-m seed=0,1 hydra.sweeper.direction=up", r"hydra\.sweeper\.direction=up"),
    ("-m seed=0,1 hydra.sweeper.direction=[maximize]", r"hydra\.sweeper\.direction"),
    ("-m seed=0,1 hydra.sweeper.max_batch_size=0", r"hydra\.sweeper\.max_batch_size=0"),
    ("-m seed=0,1 hydra.sweeper.max_batch_size=abc", r"hydra\.sweeper\.max_batch_size"),
    ("-m seed=0,1 hydra.sweeper.max_batch_size=1.5", r"hydra\.sweeper\.max_batch_size"),
    ("-m seed=0,1 hydra.sweeper.max_batch_size=nan", r"hydra\.sweeper\.max_batch_size"),
    ("-m hydra.sweeper.params=3", r"hydra\.sweeper\.params"),
    ("-m hydra.sweeper.params=[1]", r"hydra\.sweeper\.params"),
    ("-m hydra.sweeper.params=abc", r"hydra\.sweeper\.params"),
    ("-m +hydra.sweeper.params.foo=1", r"foo"),
    ("-m +hydra.sweeper.params.seed=0,1", r"hydra\.sweeper\.params\.seed|seed"),
    ("-m seed=0,1 hydra.sweeper.foo=1", r"hydra\.sweeper\.foo"),
    ("-m seed=0,1 hydra.sweeper.n_candidates=3", r"hydra\.sweeper\.n_candidates"),
    ("-m seed=0,1 hydra/sweeper=basic", r"hydra/sweeper=basic"),
    ("-m seed=0,1 hydra/sweeper=ax", r"hydra/sweeper=ax does not exist"),
    ("-m seed=0,1 hydra/sweeper=optuna", r"the search has nothing to search"),
    ("-m seed=0,1 hydra/sweeper=null", r"hydra/sweeper"),
    ("-m seed=0,1 hydra/launcher=pbs", r"hydra/launcher=pbs does not exist"),
    ("-m seed=0,1 hydra/launcher=joblib hydra.launcher.n_jobs=0", r"hydra\.launcher\.n_jobs=0"),
    ("-m seed=0,1 hydra/launcher=joblib hydra.launcher.n_jobs=-1", r"hydra\.launcher\.n_jobs=-1"),
    ("-m seed=0,1 hydra/launcher=joblib hydra.launcher.n_jobs=abc", r"hydra\.launcher\.n_jobs=abc"),
    ("-m seed=0,1 hydra/launcher=joblib hydra.launcher.n_jobs=1.5", r"hydra\.launcher\.n_jobs=1\.5"),
    ("-m seed=0,1 hydra/launcher=joblib hydra.launcher.n_jobs=null", r"hydra\.launcher\.n_jobs"),
    ("-m seed=0,1 hydra/launcher=joblib hydra.launcher.foo=1", r"hydra\.launcher\.foo"),
    ("-m seed=0,1 hydra.launcher.n_jobs=2", r"hydra\.launcher\.n_jobs.*joblib|hydra\.launcher\.n_jobs"),
    ("seed=0 hydra/launcher=joblib hydra.launcher.n_jobs=0", r"hydra\.launcher|multirun"),
    ("seed=0 hydra.sweeper.metric=metrics.val.loss", r"hydra\.sweeper.*(multirun|-m)"),
    ("seed=0 hydra.sweep.dir=mine", r"hydra\.sweep\.dir.*(multirun|-m)"),
    ("-m seed=0,1 hydra.run.dir=mine", r"hydra\.run\.dir.*sweep"),
]

SEARCH = [
    ("", r"nothing to search"),
    ("model.dropout=0,0.1 hydra.sweeper.n_candidates=0", r"hydra\.sweeper\.n_candidates=0"),
    ("model.dropout=0,0.1 hydra.sweeper.n_candidates=abc", r"hydra\.sweeper\.n_candidates"),
    ("model.dropout=0,0.1 hydra.sweeper.n_candidates=1.5", r"hydra\.sweeper\.n_candidates"),
    ("model.dropout=0,0.1 hydra.sweeper.n_candidates=inf", r"hydra\.sweeper\.n_candidates"),
    ("model.dropout=0,0.1 hydra.sweeper.seed=-1", r"hydra\.sweeper\.seed=-1"),
    ("model.dropout=0,0.1 hydra.sweeper.seed=abc", r"hydra\.sweeper\.seed"),
    ("model.dropout=0,0.1 hydra.sweeper.seed=null", r"hydra\.sweeper\.seed"),
    ("model.dropout=0,0.1 hydra.sweeper.folds=1", r"hydra\.sweeper\.folds=1"),
    ("model.dropout=0,0.1 hydra.sweeper.folds=abc", r"hydra\.sweeper\.folds"),
    ("model.dropout=0,0.1 hydra.sweeper.folds=2.5", r"hydra\.sweeper\.folds"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=2", r"hydra\.sweeper\.rungs=2"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[a]", r"hydra\.sweeper\.rungs"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=abc", r"hydra\.sweeper\.rungs"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[0]", r"hydra\.sweeper\.rungs"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[-1]", r"hydra\.sweeper\.rungs"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[1.5]", r"hydra\.sweeper\.rungs"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[true]", r"hydra\.sweeper\.rungs"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[2]", r"hydra\.sweeper\.rungs.*trainer\.epochs=2"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[1,1] trainer.epochs=4", r"hydra\.sweeper\.rungs"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[2,1] trainer.epochs=4", r"hydra\.sweeper\.rungs"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=null", r"hydra\.sweeper\.rungs"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[1] hydra.sweeper.eta=1", r"hydra\.sweeper\.eta=1"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[1] hydra.sweeper.eta=0", r"hydra\.sweeper\.eta=0"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[1] hydra.sweeper.eta=abc", r"hydra\.sweeper\.eta"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[1] hydra.sweeper.eta=nan", r"hydra\.sweeper\.eta"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[1] hydra.sweeper.eta=1.5", r"hydra\.sweeper\.eta"),
    ("model.dropout=0,0.1 hydra.sweeper.rungs=[1] hydra.sweeper.metric=metrics.test.top1", r"hydra\.sweeper\.metric"),
    ("model.dropout=0,0.1 hydra.sweeper.max_batch_size=-1", r"hydra\.sweeper\.max_batch_size=-1"),
    ("model.dropout=0,0.1 hydra.sweeper.metric=abc", r"hydra\.sweeper\.metric=abc"),
    ("model.dropout=0,0.1 hydra.sweeper.direction=down", r"hydra\.sweeper\.direction=down"),
    ("model.dropout=0,0.1 hydra.sweeper.foo=1", r"hydra\.sweeper\.foo"),
    ("model.dropout=0,0.1 seed=interval(0,3)", r"interval\(0,3\) has infinitely"),
    ("model.dropout=interval(0.5,0.1)", r"interval\(0\.5,0\.1\) is empty"),
    ("model.dropout=interval(a,b)", r"interval"),
    ("model.dropout=interval(0,inf)", r"model\.dropout|interval"),
    ("model.dropout=interval(nan,1)", r"model\.dropout|interval"),
    ("optimizer.lr=tag(log,interval(0,1))", r"has no logarithm"),
    ("optimizer.lr=tag(log,interval(-1,1))", r"has no logarithm"),
    ("optimizer.lr=tag(lg,interval(0.1,1))", r"tag|lg"),
    ("model.dropout=interval(2,3)", r"dropout"),
]

RESUMES = [
    ("resume=nowhere", r"resume=nowhere is not the folder of a run"),
    ("resume=''", r"resume"),
    ("resume=.", r"resume=\. is not the folder of a run"),
    ("resume=[a]", r"resume"),
    ("resume=3", r"resume=3 is not the folder"),
    ("resume=~/nope", r"resume=.*nope is not the folder"),
    ("resume={sweep}", r"resume=outputs/sweep is not the folder of a run"),
    ("resume={run}/config.yaml", r"resume=outputs/run/config\.yaml"),
    ("resume={paused} seed=3", r"resume=outputs/paused.*seed=3"),
    ("resume={paused} model=deep", r"resume=outputs/paused.*model=deep"),
    ("resume={paused} trainer.epochs=0.5", r"trainer\.epochs=0\.5.*has done 1 epochs"),
    ("resume={paused} hydra.run.dir=mine", r"resume=outputs/paused.*hydra\.run\.dir"),
    ("resume={paused} pause_at=0", r"pause_at=0"),
    ("resume={paused} pause_at=abc", r"pause_at.*abc"),
    ("resume={paused} pause_at=1.5", r"pause_at"),
    ("resume={paused} pause_at=1 foo=1", r"foo"),
    ("resume={paused} experiment=quickstart", r"experiment=quickstart"),
    ("resume={paused} init.run={run}", r"init\.run"),
    ("resume={paused} ~logger.console", r"logger\.console"),
    ("resume={paused} -m", r"resume.*--multirun"),
    ("resume={paused} -m pause_at=1,2", r"resume.*--multirun|pause_at"),
    ("resumes={paused}", r"resumes is not a setting.*resume"),
]


def _sweep_table(kind: str, table: list[tuple[str, str]], added: tuple[str, ...]) -> list[Row]:
    rows = train_rows(kind, table, added)
    return [
        Row(kind, row.name or "no values", "train", row.arguments, row.expected, None, False, NEW_RUN) for row in rows
    ]


def _gone_data(place: Path) -> None:
    """The data of a paused run has changed since."""
    set_config("data.source.seed", 9)(place / "outputs/paused")


def _resume_row(text: str, expected: str) -> Row:
    return Row("resume", text, "train", tuple(text.split()), expected, None, False, NOTHING)


ROWS: list[Row] = [
    *FOLDERS,
    *FLAGS,
    *train_rows("sweeps", SWEEPS),
    *_sweep_table("random search", SEARCH, (*QUICK, "-m", "hydra/sweeper=random_search")),
    *(_resume_row(text, expected) for text, expected in RESUMES),
    Row(
        "resume",
        "the data has changed",
        "train",
        ("resume={paused}",),
        r"data is not that on which",
        _gone_data,
        False,
        RESUMED,
    ),
]
