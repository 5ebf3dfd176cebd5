"""A ViT with random weights of which a chunk of images takes the CPU about a second."""

import json
import random
import struct

WIDTH, DEPTH, HEADS, IMAGE, PATCH, CLASSES = 256, 24, 4, 224, 16, 10


def tensors():
    """Names and shapes, as timm has them."""
    def linear(name, out, into):
        return [(f"{name}.weight", [out, into]), (f"{name}.bias", [out])]

    def norm(name):
        return [(f"{name}.weight", [WIDTH]), (f"{name}.bias", [WIDTH])]

    found = [("cls_token", [1, 1, WIDTH]),
             ("pos_embed", [1, (IMAGE // PATCH) ** 2 + 1, WIDTH]),
             ("patch_embed.proj.weight", [WIDTH, 3, PATCH, PATCH]),
             ("patch_embed.proj.bias", [WIDTH])]
    for block in (f"blocks.{number}." for number in range(DEPTH)):
        found += norm(block + "norm1") + linear(block + "attn.qkv", 3 * WIDTH, WIDTH)
        found += linear(block + "attn.proj", WIDTH, WIDTH) + norm(block + "norm2")
        found += linear(block + "mlp.fc1", 4 * WIDTH, WIDTH)
        found += linear(block + "mlp.fc2", WIDTH, 4 * WIDTH)
    return found + norm("norm") + linear("head", CLASSES, WIDTH)


def write(folder):
    """Writes config.json and model.safetensors (80 MB)."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({
        "architecture": "vit_slow", "num_classes": CLASSES,
        "model_args": {"img_size": IMAGE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": DEPTH,
                       "num_heads": HEADS},
        "pretrained_cfg": {"input_size": [3, IMAGE, IMAGE], "interpolation": "bicubic",
                           "crop_pct": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3}}))
    generator = random.Random(2418)
    tile = [generator.uniform(-0.05, 0.05) for _ in range(4099)]
    header, payload = {}, bytearray()
    for name, shape in tensors():
        count = 1
        for size in shape:
            count *= size
        begin = len(payload)
        tiles = struct.pack(f"<{len(tile)}f", *tile) * (count // len(tile) + 1)
        payload += tiles[:4 * count]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(payload)]}
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + payload)
