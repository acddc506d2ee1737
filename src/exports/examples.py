"""example.py beside an exported file: ten lines that use it without cifarlab."""

CLASSIFY = '''\
"""Classifies an image: python example.py cat.jpg; needs {needs}."""
import json, sys
from pathlib import Path
import numpy as np
import {library}
from PIL import Image, ImageOps

folder = Path(__file__).parent
image = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
pixels = np.array(ImageOps.fit(image, ({size}, {size}), Image.Resampling.BILINEAR)).transpose(2, 0, 1)[None]
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


def make_example(name: str, image_size: int) -> str:
    """The program for the format `name`, whose images have `image_size` pixels."""
    if name == "safetensors":
        return LIST_WEIGHTS
    library, compute = {"onnx": ("onnxruntime", ONNX), "torch_export": ("torch", TORCH_EXPORT)}[name]
    return CLASSIFY.format(needs=f"{library}, numpy, pillow", library=library, compute=compute, size=image_size)
