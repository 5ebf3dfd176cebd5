"""The engine's logits are timm's, on seeded random weights, architecture by architecture.

    environment.py logits_parity.py PARITY_LOGITS ARCHITECTURE...

For each architecture: a timm model whose every parameter was drawn anew (no bias, token or norm is
at a value at which it does nothing), saved as timm exports to Hugging Face; random images; timm in
fp32 eval mode; PARITY_LOGITS (logits.cc) on the same files. The largest difference must be at most
1e-5 of the largest logit (1e-4 is asked for, some 5e-7 is seen), and both must count the same
parameters. That the comparison can tell is seen from the reference with another epsilon in its
layer norms, which must differ by more.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import safetensors.torch
import timm
import torch
from architectures import ARCHITECTURES

TOLERANCE = 1e-5
SEED = 2418
IMAGES = 2


def draw_parameters(model, seed):
    """Every parameter at a scale at which it matters.

    The first block's input is small (tokens, positions and patches of about 0.02, as trained ones
    are), so that the epsilon of its norm shows in the logits.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name in ("cls_token", "dist_token", "pos_embed"):
                noise *= 0.02
            elif name.startswith("patch_embed.proj."):
                noise *= 0.02 / math.sqrt(noise[0].numel()) if noise.ndim > 1 else 0.01
            elif name.endswith("relative_position_bias_table"):
                noise *= 0.5
            elif noise.ndim > 1:
                noise /= math.sqrt(noise[0].numel())
            elif name.endswith("weight"):  # of a norm
                noise = 1 + 0.2 * noise
            else:
                noise *= 0.2
            parameter.copy_(noise)
        for name, buffer in model.named_buffers():  # statistics of batch norms
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.copy_(0.05 + 0.1 * torch.rand(buffer.shape, generator=generator))


def random_images(config, count, seed):
    """8-bit, [count, 3, height, width]: blotches of all sizes, not white noise alone."""
    generator = torch.Generator().manual_seed(seed)
    _, height, width = config["input_size"]
    images = torch.zeros(count, 3, height, width)
    for side in (2, 5, 13, 50, height):
        noise = torch.randn(count, 3, side, side, generator=generator)
        images += torch.nn.functional.interpolate(noise, (height, width), mode="bilinear")
    return (128 + 50 * images).clamp(0, 255).to(torch.uint8)


def reference_logits(model, config, images):
    mean = torch.tensor(config["mean"]).view(3, 1, 1)
    std = torch.tensor(config["std"]).view(3, 1, 1)
    with torch.inference_mode():
        return model((images.float() / 255 - mean) / std).numpy()


def other_epsilon(model):
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-5 if module.eps == 1e-6 else 1e-6
    return model


def difference(logits, expected):
    return float(np.abs(logits - expected).max() / np.abs(expected).max())


def engine_logits(program, folder, images, classes):
    (folder / "pixels").write_bytes(images.numpy().tobytes())
    run = subprocess.run([program, folder, folder / "pixels", folder / "logits"],
                         stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        raise SystemExit(f"{program} failed on {folder}")
    counts = dict(line.split() for line in run.stdout.splitlines())
    logits = np.fromfile(folder / "logits", np.float32).reshape(len(images), classes)
    return logits, {name: int(count) for name, count in counts.items()}


def compare(program, name, folder):
    """Prints a line for the architecture; returns what is wrong with it."""
    start = time.monotonic()
    architecture = ARCHITECTURES[name]
    torch.manual_seed(SEED)
    model, config = architecture.create()
    draw_parameters(model, SEED)
    model.eval()
    architecture.save(model, folder)
    images = random_images(config, IMAGES, SEED)
    expected = reference_logits(model, config, images)
    altered = reference_logits(other_epsilon(model), config, images)
    parameters = sum(p.numel() for p in model.parameters())
    surface = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    del model  # the engine loads it again: not both at a time
    logits, counts = engine_logits(program, folder, images, expected.shape[1])

    wrong = []
    off = difference(logits, expected)
    if not off <= TOLERANCE:
        wrong.append(f"logits differ by {off:.2g} of the largest")
    if not difference(logits, altered) > 10 * TOLERANCE:
        wrong.append("the comparison cannot tell: another epsilon makes no difference")
    if architecture.parameters and parameters != architecture.parameters:
        wrong.append(f"the reference has {parameters} parameters, not {architecture.parameters}")
    if counts != {"parameters": parameters, "surface": surface}:
        wrong.append(f"counts are {counts}, and {parameters} and {surface} in the reference")
    print(f"{name:38} {parameters:>11,} parameters  largest logit "
          f"{np.abs(expected).max():5.2f}  difference {off:.1e} of it  "
          f"{time.monotonic() - start:5.1f} s  {'; '.join(wrong) or 'equal'}", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("architectures", nargs="+", choices=sorted(ARCHITECTURES))
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    print(f"timm {timm.__version__}, torch {torch.__version__}")
    failed = []
    for name in arguments.architectures:
        with tempfile.TemporaryDirectory(prefix="bitquake-parity-") as folder:
            if compare(arguments.program, name, Path(folder)):
                failed.append(name)
    if failed:
        sys.exit(f"not equal to the reference: {', '.join(failed)}")


main()
