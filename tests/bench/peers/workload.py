"""What every program of the bench is given: one model, one set of images, one list of faults.

Weights, images and faults are random but seeded: speed does not depend on what was learnt. A fault
is one bit of one int8 word; the words are those of the weights of Conv2d and Linear layers, which
all programs can reach.
"""

import dataclasses
import os
import pathlib

import numpy as np
import timm
import torch
from timm.models._hub import save_for_hf

SEED = 2418
WORD_BITS = 8
FAULTABLE_LAYERS = (torch.nn.Conv2d, torch.nn.Linear)


class Unfit(ValueError):
    """Asked for what cannot be made."""


@dataclasses.dataclass(frozen=True)
class ModelChoice:
    timm_name: str
    batch: int
    arguments: dict = dataclasses.field(default_factory=dict)


MODELS = {
    "vit_base_patch16_224": ModelChoice("vit_base_patch16_224", 256),
    "vit_large_patch16_384": ModelChoice("vit_large_patch16_384", 64),
    "vit_base_patch32_224": ModelChoice("vit_base_patch32_224", 256),
    # To try the bench where there is no GPU.
    "tiny": ModelChoice("vit_tiny_patch16_224", 8, dict(
        img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=2, num_classes=10)),
}


def model_choice(name):
    """One of MODELS, or any of timm's vision transformers."""
    return MODELS.get(name) or ModelChoice(name, 256)


def create_model(choice):
    """A timm model with seeded random weights, in fp32 on the CPU."""
    torch.manual_seed(SEED)
    overlay = {}
    if "img_size" in choice.arguments:
        overlay["input_size"] = (3, choice.arguments["img_size"], choice.arguments["img_size"])
    model = timm.create_model(choice.timm_name, pretrained=False, pretrained_cfg_overlay=overlay,
                              **choice.arguments)
    return model.eval().requires_grad_(False)


def input_size(model):
    """Channels, height, width."""
    return (3, *model.patch_embed.img_size)


def save_snapshot(model, choice, folder):
    """model.safetensors and config.json, by timm's own export for Hugging Face."""
    save_for_hf(model, folder, safe_serialization=True, model_args=dict(choice.arguments))


def faultable_weights(model):
    """The weights that faults may hit, by name, in the model's order."""
    return {f"{name}.weight": module.weight for name, module in model.named_modules()
            if isinstance(module, FAULTABLE_LAYERS)}


def create_images(count, size):
    """uint8 [count, 3, height, width]."""
    generator = np.random.default_rng(SEED)
    return generator.integers(0, 256, (count, *size), dtype=np.uint8)


def save_images(images, path):
    images.tofile(path)


def device_batches(images, batch, model, device):
    """The images in fp32, normalised as the model's configuration says, resident on the device."""
    mean = torch.tensor(model.pretrained_cfg["mean"], device=device).view(1, 3, 1, 1)
    std = torch.tensor(model.pretrained_cfg["std"], device=device).view(1, 3, 1, 1)
    pixels = torch.from_numpy(images)
    return [((part.to(device).float() / 255 - mean) / std).contiguous()
            for part in pixels.split(batch)]


@dataclasses.dataclass(frozen=True)
class TensorFaults:
    """Parallel arrays: bit `bits[i]` of the word at flat index `indices[i]`; indices ascend."""
    indices: np.ndarray
    bits: np.ndarray


@dataclasses.dataclass(frozen=True)
class FaultList:
    """By tensor's name. No word is hit twice: MRFI would lose one of two bits in a word."""
    tensors: dict

    @property
    def flips(self):
        return sum(len(faults.indices) for faults in self.tensors.values())


def draw_faults(weights, flips):
    """`flips` words, each of all words as likely, and one bit of each."""
    counts = np.array([weight.numel() for weight in weights.values()])
    ends = np.cumsum(counts)
    if flips > ends[-1]:
        raise Unfit(f"{flips} flips in different words are more than the model's {ends[-1]} words; "
                    "ask for fewer")
    generator = np.random.default_rng(SEED + flips)
    words = np.sort(generator.choice(ends[-1], flips, replace=False))
    bits = generator.integers(0, WORD_BITS, flips)
    cuts = np.searchsorted(words, ends)
    tensors = {}
    for name, end, count, first, last in zip(weights, ends, counts, [0, *cuts], cuts):
        if first < last:
            tensors[name] = TensorFaults(words[first:last] - (end - count), bits[first:last])
    return FaultList(tensors)


def save_faults(faults, path):
    """CSV with the header tensor,index,bit, as Bitquake's fault lists have it."""
    with open(path, "w", encoding="ascii") as file:
        file.write("tensor,index,bit\n")
        for name, hit in faults.tensors.items():
            file.writelines(f"{name},{index},{bit}\n"
                            for index, bit in zip(hit.indices.tolist(), hit.bits.tolist()))


@dataclasses.dataclass
class Workload:
    """A model with its files. `model` holds the weights as created, not quantised."""
    name: str
    choice: ModelChoice
    batch: int
    model: torch.nn.Module
    images: np.ndarray
    folder: pathlib.Path

    @classmethod
    def create(cls, name, image_count, batch, folder):
        choice = model_choice(name)
        batch = batch or choice.batch
        if image_count % batch:
            raise Unfit(f"{image_count} images are not a multiple of the batch, {batch}")
        folder = pathlib.Path(folder) / name
        os.makedirs(folder, exist_ok=True)
        model = create_model(choice)
        save_snapshot(model, choice, folder / "model")
        images = create_images(image_count, input_size(model))
        save_images(images, folder / "images.raw")
        return cls(name, choice, batch, model, images, folder)

    def draw_faults(self, flips):
        """The list, also written to faults_path(flips)."""
        faults = draw_faults(faultable_weights(self.model), flips)
        save_faults(faults, self.faults_path(flips))
        return faults

    def faults_path(self, flips):
        return self.folder / f"faults-{flips}.csv"
