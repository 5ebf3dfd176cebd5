"""Folders that have the names and shapes of published models' tensors, but no weights, for `bitquake
validate`: it reads headers alone. The files are sparse and take no room on the disk.

Also counts the multiply-adds of a forward pass, by which speeds are scaled.
"""

import json
import math
import struct


def _linear(name, out, inputs, bias=True):
    return {f"{name}.weight": [out, inputs], **({f"{name}.bias": [out]} if bias else {})}


def _norm(name, width):
    return {f"{name}.weight": [width], f"{name}.bias": [width]}


def vit(image, patch, width, depth, heads, mlp_ratio=4, clip=False, deepvit=False):
    """(tensors, model_args, multiply-adds) of a ViT; or of a DeepViT, whose attention maps are mixed."""
    tokens = (image // patch) ** 2 + 1
    tensors = {"cls_token": [1, 1, width], "pos_embed": [1, tokens, width],
               "patch_embed.proj.weight": [width, 3, patch, patch]}
    tensors.update(_norm("norm_pre", width) if clip else {"patch_embed.proj.bias": [width]})
    for block in (f"blocks.{index}" for index in range(depth)):
        tensors.update({**_norm(f"{block}.norm1", width), **_norm(f"{block}.norm2", width),
                        **_linear(f"{block}.attn.qkv", 3 * width, width, bias=not deepvit),
                        **_linear(f"{block}.attn.proj", width, width),
                        **_linear(f"{block}.mlp.fc1", mlp_ratio * width, width),
                        **_linear(f"{block}.mlp.fc2", width, mlp_ratio * width)})
        if deepvit:
            mixing = f"{block}.attn.reatten_matrix"
            tensors.update({f"{mixing}.weight": [heads, heads, 1, 1], f"{mixing}.bias": [heads]})
            tensors.update(_norm(f"{block}.attn.var_norm", heads))
            tensors.update({f"{block}.attn.var_norm.running_{which}": [heads] for which in ("mean", "var")})
    tensors.update({**_norm("norm", width), **_linear("head", 1000, width)})
    args = {"img_size": image, "patch_size": patch, "embed_dim": width, "depth": depth, "num_heads": heads,
            **({"mlp_ratio": mlp_ratio, "qkv_bias": False} if deepvit else {}),
            **({"pre_norm": True} if clip else {})}
    of_block = (4 + 2 * mlp_ratio) * tokens * width ** 2 + 2 * tokens ** 2 * width
    of_block += (tokens * heads) ** 2 if deepvit else 0
    return tensors, args, depth * of_block + (tokens - 1) * 3 * patch ** 2 * width + 1000 * width


def swin(width, depths, heads, image=224, patch=4, window=7):
    tensors = {"patch_embed.proj.weight": [width, 3, patch, patch], "patch_embed.proj.bias": [width],
               **_norm("patch_embed.norm", width)}
    tokens = (image // patch) ** 2
    products = tokens * 3 * patch ** 2 * width
    for stage, (depth, head_count) in enumerate(zip(depths, heads)):
        if stage:
            tensors.update({**_norm(f"layers.{stage}.downsample.norm", 4 * width),
                            **_linear(f"layers.{stage}.downsample.reduction", 2 * width, 4 * width, bias=False)})
            width, tokens = 2 * width, tokens // 4
            products += tokens * 2 * width * width
        for block in (f"layers.{stage}.blocks.{index}" for index in range(depth)):
            tensors.update({**_norm(f"{block}.norm1", width), **_norm(f"{block}.norm2", width),
                            f"{block}.attn.relative_position_bias_table": [(2 * window - 1) ** 2, head_count],
                            **_linear(f"{block}.attn.qkv", 3 * width, width),
                            **_linear(f"{block}.attn.proj", width, width),
                            **_linear(f"{block}.mlp.fc1", 4 * width, width),
                            **_linear(f"{block}.mlp.fc2", width, 4 * width)})
            products += 12 * tokens * width ** 2 + 2 * tokens * window ** 2 * width
    tensors.update({**_norm("norm", width), **_linear("head.fc", 1000, width)})
    return tensors, {}, products + 1000 * width


def resnet50():
    tensors, products = {}, 0

    def convolution(name, norm, out, inputs, kernel, side):
        nonlocal products
        tensors[f"{name}.weight"] = [out, inputs, kernel, kernel]
        tensors.update(_norm(norm, out))
        tensors.update({f"{norm}.running_mean": [out], f"{norm}.running_var": [out]})
        products += out * inputs * kernel ** 2 * side ** 2

    convolution("conv1", "bn1", 64, 3, 7, 112)
    inputs, side = 64, 56
    for layer, (blocks, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512)), start=1):
        for block in range(blocks):
            name = f"layer{layer}.{block}"
            before, side = side, side // 2 if block == 0 and layer > 1 else side
            convolution(f"{name}.conv1", f"{name}.bn1", width, inputs, 1, before)
            convolution(f"{name}.conv2", f"{name}.bn2", width, width, 3, side)
            convolution(f"{name}.conv3", f"{name}.bn3", 4 * width, width, 1, side)
            if block == 0:
                convolution(f"{name}.downsample.0", f"{name}.downsample.1", 4 * width, inputs, 1, side)
            inputs = 4 * width
    tensors.update(_linear("fc", 1000, inputs))
    return tensors, {}, products + 1000 * inputs


MODELS = {
    "vit_base_patch16_224.augreg_in21k_ft_in1k": vit(224, 16, 768, 12, 12),
    "vit_base_patch16_384.augreg_in21k_ft_in1k": vit(384, 16, 768, 12, 12),
    "vit_base_patch32_224.augreg_in21k_ft_in1k": vit(224, 32, 768, 12, 12),
    "vit_base_patch32_384.augreg_in21k_ft_in1k": vit(384, 32, 768, 12, 12),
    "vit_large_patch16_384.augreg_in21k_ft_in1k": vit(384, 16, 1024, 24, 16),
    "vit_large_patch32_384.orig_in21k_ft_in1k": vit(384, 32, 1024, 24, 16),
    "vit_huge_patch14_clip_224.laion2b_ft_in12k_in1k": vit(224, 14, 1280, 32, 16, clip=True),
    "swin_tiny_patch4_window7_224.ms_in1k": swin(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "swin_small_patch4_window7_224.ms_in1k": swin(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "swin_base_patch4_window7_224.ms_in1k": swin(128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "deepvit_patch16_224_re_attn_16b": vit(224, 16, 384, 16, 12, mlp_ratio=3, deepvit=True),
    "resnet50.tv_in1k": resnet50(),
}


def parameters(model):
    """As timm counts them: statistics are none."""
    return sum(math.prod(shape) for name, shape in MODELS[model][0].items() if "running_" not in name)


def multiply_adds(model):
    return MODELS[model][2]


def write(model, folder):
    """A model folder without weights."""
    tensors, args, _ = MODELS[model]
    side = args.get("img_size", 224)
    folder.mkdir(parents=True)
    config = {"architecture": model.split(".")[0], "num_classes": 1000,
              "pretrained_cfg": {"input_size": [3, side, side], "num_classes": 1000, "mean": [0.5] * 3,
                                 "std": [0.5] * 3}}
    if args:
        config["model_args"] = args
    (folder / "config.json").write_text(json.dumps(config))
    header, end = {}, 0
    for name, shape in tensors.items():
        first, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [first, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    if model.startswith("resnet"):
        (folder / "model.ts").write_bytes(b"")
