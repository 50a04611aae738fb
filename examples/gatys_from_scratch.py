"""Neural style transfer after Gatys, Ecker & Bethge (CVPR 2016), built from the public parts of impasto.

    python examples/gatys_from_scratch.py rocket brushstrokes out.png --steps 100

It gives the same image, bit for bit, as `impasto stylize rocket brushstrokes -o out.png --steps 100`.
"""

import argparse

from impasto.backbones import load_backbone
from impasto.devices import pick_device, pick_dtype
from impasto.images import fit, load_image, resize, save_image
from impasto.losses.content import ContentLoss
from impasto.losses.gram import GramLoss
from impasto.objectives.objective import Objective, match
from impasto.optim.descent import descend
from impasto.samples import resolve

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("content", help="content image: a file, or a sample: astronaut, coffee, chelsea, rocket")
parser.add_argument("style", help="style image: a file, or a sample: brushstrokes, mosaic, woodcut, pointillism")
parser.add_argument("output", help="output file")
parser.add_argument("--backbone", default="lite", help="loss network; vgg19-caffe is the one of the paper")
parser.add_argument("--size", type=int, default=512, help="longer side of the output in pixels, at most 512")
parser.add_argument("--steps", type=int, default=100, help="iterations of L-BFGS")
options = parser.parse_args()

# 1. Images: float32 tensors (1, 3, H, W), sRGB-encoded RGB in [0, 1], with a longer side of `size` pixels.
device = pick_device("auto")
images = [load_image(resolve(name)) for name in (options.content, options.style)]
shapes = [fit((image.shape[-2], image.shape[-1]), options.size) for image in images]
content, style = (resize(image, shape).to(device) for image, shape in zip(images, shapes, strict=True))

# 2. Features of a frozen network, scaled so that the mean activation of every layer is 1.
backbone = load_backbone(options.backbone, device=device, dtype=pick_dtype("auto", device))
layers = backbone.style_layers  # relu1_1, relu2_1, relu3_1, relu4_1, relu5_1
content_features = backbone.encode(content, [*backbone.content_layers, *layers])  # relu4_2: (1, 512, H/8, W/8)
style_features = backbone.encode(style, layers)

# 3. The objective: the content features at one deep layer, and the Gram matrices of five layers.
terms = [
    *match("content", ContentLoss(), [content_features], backbone.content_layers, weight=1.0),
    *match("style", GramLoss(), [style_features], layers, weight=100.0),
]
objective = Objective(backbone, terms)

# 4. L-BFGS on the pixels, from the content image. Every iterate stays in [0, 1], so that the saved file has its loss.
best, best_loss = content, float("inf")
for step in descend(objective, content, steps=options.steps):
    print(f"{step.index:4d}  " + "  ".join(f"{name} {loss:.4f}" for name, loss in step.losses.items()))
    if step.loss < best_loss:
        best, best_loss = step.image(), step.loss

save_image(best.cpu(), options.output)
