"""example.py beside an exported file: ten lines that use it without cifarlab."""

from src.config import DataConfig

CLASSIFY = '''\
"""Classifies an image: python example.py cat.jpg; needs {needs}."""
import json, sys
from pathlib import Path
import numpy as np
import {library}
from PIL import Image, ImageOps

folder = Path(__file__).parent
image = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
pixels = np.array({resized}).transpose(2, 0, 1)[None]
{compute}
names = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
for label in probabilities.argsort()[::-1][:5]:
    print(f"{{probabilities[label]:7.2%}}  {{names[label]}}")
'''
ONNX = """\
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
probabilities = session.run(None, {"images": pixels})[0][0]"""
TORCH_EXPORT = """\
network = torch.export.load(folder / "model.pt2").module()
probabilities = network(torch.from_numpy(pixels))[0].detach().numpy()"""
LIST_WEIGHTS = '''\
"""Lists the weights, which `load_state_dict` of the same network takes: python example.py; needs safetensors, torch."""
from pathlib import Path
from safetensors.torch import load_file

weights = load_file(Path(__file__).parent / "model.safetensors")
for name, weight in weights.items():
    print(f"{name:40} {str(weight.dtype):14} {tuple(weight.shape)}")
print(f"{sum(weight.numel() for weight in weights.values()):,} numbers")
'''


RESIZED = {  # by data.fit
    "crop": "ImageOps.fit(image, ({size}, {size}), Image.Resampling.BILINEAR)",
    "letterbox": "ImageOps.pad(image, ({size}, {size}), Image.Resampling.BILINEAR, (128, 128, 128))",
}


def make_example(name: str, data: DataConfig) -> str:
    """The program for the format `name`, which brings images to data.image_size as data.fit says."""
    if name == "safetensors":
        return LIST_WEIGHTS
    library, compute = {"onnx": ("onnxruntime", ONNX), "torch_export": ("torch", TORCH_EXPORT)}[name]
    resized = RESIZED[data.fit].format(size=data.image_size)
    return CLASSIFY.format(needs=f"{library}, numpy, pillow", library=library, compute=compute, resized=resized)
