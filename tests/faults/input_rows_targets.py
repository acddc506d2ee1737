"""Targets of nodes that are not what the node needs: no class, no network, no loss, no logger."""

from pathlib import Path

from tests.faults.input_rows_base import NEW_RUN, Row, train_rows
from tests.quick import QUICK

HERE = "tests.faults.input_targets"

MODEL = [
    ("model._target_=src.models.convnet.Nothing", r"model.*src\.models\.convnet\.Nothing"),
    ("model._target_=nowhere.Nothing", r"model.*nowhere\.Nothing"),
    ("model._target_=Nothing", r"model.*Nothing"),
    ("model._target_=3", r"model.*_target_"),
    ("model._target_=null", r"model.*_target_"),
    ("model._target_=''", r"model.*_target_"),
    ("model._target_=[a]", r"model.*_target_"),
    ("model._target_=..x", r"model.*_target_"),
    ("model._target_=src-models", r"model.*src-models"),
    ("model._target_=torch.nn", r"model.*torch\.nn"),
    ("model._target_=HERE", r"model.*input_targets"),
    ("model._target_=HERE.ONE", r"model.*ONE"),
    ("model._target_=HERE.returns_int", r"model.*returns_int.*(int|Module|network)"),
    ("model._target_=HERE.returns_none", r"model.*returns_none.*(None|Module|network)"),
    ("model._target_=HERE.ReturnsTuple", r"model.*(tuple|tensor)"),
    ("model._target_=HERE.ReturnsNone", r"model.*(None|tensor)"),
    ("model._target_=HERE.ReturnsWrongShape", r"model.*3 outputs|model.*\(3,\).*10 classes"),
    ("model._target_=HERE.ReturnsWholeNumbers", r"model.*(ReturnsWholeNumbers|int64|float|integer|gradient)"),
    ("model._target_=HERE.ReturnsNan", r"(nan|finite|diverged)"),
    ("model._target_=HERE.RaisesValueError", r"model.*RaisesValueError.*refused by the target"),
    ("model._target_=HERE.RaisesKeyError", r"model.*RaisesKeyError.*refused by the target"),
    ("model._target_=HERE.RaisesInTraining", r"model.*refused by the target"),
    ("model._target_=HERE.WithoutWeights", r"(model|optimizer).*(weights|parameter)"),
    ("model._target_=HERE.raises_value_error", r"model.*raises_value_error.*refused by the target"),
    ("model._target_=HERE.raises_key_error", r"model.*raises_key_error.*refused by the target"),
    ("model._target_=HERE.raises_attribute_error", r"model.*raises_attribute_error.*refused by the target"),
    ("model._target_=torch.nn.Linear", r"model\.blocks is not a setting of torch\.nn\.Linear; there are"),
    ("model._target_=os.system", r"model.*os\.system"),
    ("model._target_=sys.exit", r"model.*sys\.exit"),
]

LOSS = [
    ("loss._target_=nowhere.Loss", r"loss.*nowhere\.Loss"),
    ("loss._target_=torch.nn.functional.cross_entropy", r"loss.*cross_entropy"),
    ("loss._target_=HERE.Loss", r"loss.*(scalar|number|shape)"),
    ("loss._target_=HERE.LossNone", r"loss.*(None|scalar|tensor)"),
    ("loss._target_=HERE.LossNumber", r"loss.*(float|scalar|tensor)"),
    ("loss._target_=HERE.LossWithoutGradient", r"loss.*(grad|differen)"),
    ("loss._target_=HERE.LossRaises", r"loss.*refused by the target"),
    ("loss._target_=HERE.returns_int", r"loss.*(int|call)"),
    ("loss._target_=HERE.raises_key_error", r"loss.*refused by the target"),
    ("~loss._target_", r"loss.*_target_"),
    ("loss._target_=torch.nn.MSELoss ~loss.label_smoothing", r"loss.*(MSELoss|shape|size|type)"),
]

LOGGER = [
    ("+logger.mine._target_=HERE.Optimizer", r"logger\.mine.*(Optimizer|params|Logger)"),
    ("+logger.mine._target_=HERE.returns_int", r"logger\.mine.*(Logger|int)"),
    ("+logger.mine._target_=HERE.returns_none", r"logger\.mine.*(Logger|None)"),
    ("+logger.mine._target_=HERE.Network", r"logger\.mine.*(num_classes|Logger)"),
    ("+logger.mine._target_=builtins.dict", r"logger\.mine.*(Logger|dict)"),
    ("+logger.mine._target_=HERE.raises_value_error", r"logger\.mine.*refused by the target"),
    ("+logger.mine._target_=HERE.raises_key_error", r"logger\.mine.*refused by the target"),
    ("+logger.mine._target_=HERE.RaisingLogger", r"(logger\.mine|RaisingLogger).*refused by the target"),
    ("+logger.mine._target_=HERE.RaisingLaterLogger", r"(logger\.mine|RaisingLaterLogger).*refused by the target"),
    ("+logger.mine._target_=nowhere.Logger", r"logger\.mine.*nowhere\.Logger"),
    ("+logger.mine.foo=1", r"logger\.mine.*_target_"),
    ("logger.history_csv.foo=1", r"logger\.history_csv.*foo"),
]

SOURCE = [
    ("data.source._target_=nowhere.images", r"data\.source.*nowhere\.images"),
    ("data.source._target_=HERE.returns_int", r"data\.source.*(ImageDataset|int)"),
    ("data.source._target_=HERE.returns_none", r"data\.source.*(ImageDataset|None)"),
    ("data.source._target_=HERE.tuple_of_tensors", r"data\.source.*(ImageDataset|tuple)"),
    ("data.source._target_=HERE.raises_value_error", r"data\.source.*refused by the target"),
    ("data.source._target_=HERE.raises_key_error", r"data\.source.*refused by the target"),
    ("data.source._target_=HERE.float_images", r"data\.source.*(uint8|float)|(uint8|float).*image"),
    ("data.source._target_=HERE.gray_images", r"data\.source.*(channel|3|RGB)"),
    ("data.source._target_=HERE.too_few_labels", r"data\.source.*label"),
    ("data.source._target_=HERE.labels_out_of_range", r"data\.source.*label"),
    ("data.source._target_=HERE.negative_labels", r"data\.source.*label"),
    ("data.source._target_=HERE.without_images", r"data\.source.*image"),
    ("data.source._target_=HERE.without_classes", r"(data\.source.*class|num_classes=10.*0 classes)"),
]

FUNCTIONS = [
    ("optimizer._target_=nowhere.Adam", r"optimizer.*nowhere\.Adam"),
    ("optimizer._target_=HERE.Optimizer", r"optimizer.*(torch\.optim|Optimizer)"),
    ("optimizer._target_=HERE.returns_int", r"optimizer.*(int|Optimizer)"),
    ("optimizer._target_=HERE.raises_key_error", r"optimizer.*refused by the target"),
    ("optimizer._target_=torch.optim.lr_scheduler.StepLR", r"optimizer.*StepLR"),
    ("optimizer._target_=torch.optim.LBFGS ~optimizer.betas ~optimizer.eps ~optimizer.weight_decay ~optimizer.fused",
     r"optimizer.*(LBFGS|closure)"),
    ("optimizer=sgd optimizer._target_=torch.optim.Optimizer", r"optimizer.*torch\.optim\.Optimizer"),
    ("optimizer._target_=torch.optim.SparseAdam ~optimizer.weight_decay ~optimizer.fused",
     r"optimizer.*(SparseAdam|sparse)"),
    ("scheduler._target_=nowhere.cosine", r"scheduler.*nowhere\.cosine"),
    ("scheduler._target_=HERE.returns_text", r"scheduler.*(text|number|str)"),
    ("scheduler._target_=HERE.returns_none", r"scheduler.*(None|number)"),
    ("scheduler._target_=HERE.returns_nan", r"scheduler.*nan"),
    ("scheduler._target_=HERE.returns_inf", r"scheduler.*inf"),
    ("scheduler._target_=HERE.returns_negative", r"scheduler.*-1"),
    ("scheduler._target_=HERE.raises_value_error", r"scheduler.*refused by the target"),
    ("scheduler._target_=HERE.raises_key_error", r"scheduler.*refused by the target"),
    ("scheduler._target_=HERE.raises_late", r"scheduler.*refused by the target"),
    ("scheduler._target_=torch.optim.lr_scheduler.StepLR", r"scheduler.*StepLR"),
    ("augmentation._target_=nowhere.Affine", r"augmentation.*nowhere\.Affine"),
    ("augmentation._target_=HERE.returns_int", r"augmentation.*(int|call)"),
    ("augmentation._target_=HERE.WrongShape", r"augmentation.*(shape|size)"),
    ("augmentation._target_=HERE.RaisingAugmentation", r"augmentation.*refused by the target"),
    ("augmentation._target_=HERE.raises_key_error", r"augmentation.*refused by the target"),
    ("augmentation._target_=torch.nn.Conv2d", r"augmentation.*torch\.nn\.Conv2d"),
    ("augmentation=cutout augmentation.steps=[{_target_:builtins.dict}]", r"augmentation.*steps"),
    ("augmentation=cutout augmentation.steps=[{_target_:nowhere.Cutout}]", r"augmentation.*nowhere\.Cutout"),
    ("augmentation=mixup augmentation.steps=[{_target_:src.data.augment.MixUp,alpha:1},"
     "{_target_:src.data.augment.MixUp,alpha:1}]", r"augmentation.*only the last"),
]  # fmt: skip

OWN_FILES = {  # a module that the user wrote beside outputs/
    "a syntax error": ("class Network(:\n", r"model.*mine\.Network.*(syntax|invalid)"),
    "a missing import": ("import no_such_package\n", r"model.*mine\.Network.*no_such_package"),
    "an exit at import": ("raise SystemExit(3)\n", r"model.*mine\.Network"),
    "another class": ("class Net: ...\n", r"model.*mine\.Network"),
    "text": ("\xe9 = = 3\n", r"model.*mine\.Network"),
}


def _own_file(name: str) -> Row:
    content, expected = OWN_FILES[name]

    def prepare(place: Path) -> None:
        (place / "mine.py").write_text(content)

    arguments = (*QUICK, "model._target_=mine.Network")
    return Row(
        "targets: own file", f"model in a file with {name}", "train", arguments, expected, prepare, False, NEW_RUN
    )


TABLES = {"model": MODEL, "loss": LOSS, "logger": LOGGER, "data.source": SOURCE, "functions": FUNCTIONS}
ROWS: list[Row] = [
    row
    for kind, table in TABLES.items()
    for row in train_rows(f"targets: {kind}", [(text.replace("HERE", HERE), expected) for text, expected in table])
]
ROWS += map(_own_file, OWN_FILES)
