"""The models of logits_parity.py: how each is made and saved."""

import json
from dataclasses import dataclass, field

import safetensors.torch
import timm
from deepvit import DeepViT
from timm.models._hub import save_config_for_hf


@dataclass
class TimmModel:
    name: str
    parameters: int  # a figure from outside of timm's code (published); None for a reduced depth
    args: dict = field(default_factory=dict)  # of timm.create_model: a reduced depth
    # This timm writes model_args into every config.json. Most of those on Hugging Face are older
    # and hold none: so do these, but for what a reduced depth needs.
    with_model_args: bool = False

    def create(self):
        model = timm.create_model(self.name, **self.args)
        return model, timm.data.resolve_model_data_config(model)

    def save(self, model, folder):
        safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors")
        path = folder / "config.json"
        save_config_for_hf(model, path)
        if not self.args and not self.with_model_args:
            config = json.loads(path.read_text())
            del config["model_args"]
            path.write_text(json.dumps(config, indent=2))


@dataclass
class DeepViTModel:
    """As timm would save it, if it had it."""
    name: str
    args: dict
    parameters: int = None

    def create(self):
        size = self.args["img_size"]
        return DeepViT(**self.args), {"input_size": (3, size, size), "interpolation": "bicubic",
                                      "crop_pct": 0.9, "mean": (0.485, 0.456, 0.406),
                                      "std": (0.229, 0.224, 0.225)}

    def save(self, model, folder):
        safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors")
        _, data_config = self.create()
        config = {"architecture": self.name, "num_classes": 1000, "global_pool": "token",
                  "norm_eps": 1e-6, "model_args": {**self.args, "qkv_bias": False},
                  "pretrained_cfg": {**data_config, "num_classes": 1000}}
        (folder / "config.json").write_text(json.dumps(config, indent=2))


# Full width and input always. The largest are cut to a few blocks, which are all alike; those
# called "NAME whole" are the slow tests' (BITQUAKE_SLOW_TESTS=1).
ARCHITECTURES = {
    "vit_base_patch16_224": TimmModel("vit_base_patch16_224.augreg_in21k_ft_in1k", 86_567_656),
    "vit_base_patch16_384": TimmModel("vit_base_patch16_384.augreg_in21k_ft_in1k", 86_859_496),
    "vit_base_patch32_224": TimmModel("vit_base_patch32_224.augreg_in21k_ft_in1k", 88_224_232,
                                      with_model_args=True),
    "vit_base_patch32_384": TimmModel("vit_base_patch32_384.augreg_in21k_ft_in1k", 88_297_192),
    "vit_large_patch16_384": TimmModel("vit_large_patch16_384.augreg_in21k_ft_in1k", None,
                                       args={"depth": 3}),
    "vit_large_patch32_384": TimmModel("vit_large_patch32_384.orig_in21k_ft_in1k", None,
                                       args={"depth": 3}),
    "vit_huge_patch14_clip_224": TimmModel("vit_huge_patch14_clip_224.laion2b_ft_in12k_in1k", None,
                                           args={"depth": 3}),
    "vit_tiny_patch16_224": TimmModel("vit_tiny_patch16_224.augreg_in21k_ft_in1k", 5_717_416),
    "deit_tiny_patch16_224": TimmModel("deit_tiny_patch16_224.fb_in1k", 5_717_416),
    "deit_base_distilled_patch16_224": TimmModel("deit_base_distilled_patch16_224.fb_in1k",
                                                 87_338_192),
    "swin_tiny_patch4_window7_224": TimmModel("swin_tiny_patch4_window7_224.ms_in1k", 28_288_354),
    "swin_base_patch4_window7_224": TimmModel("swin_base_patch4_window7_224.ms_in1k", 87_768_224),
    "deepvit_patch16_224": DeepViTModel(  # the paper's DeepViT of 16 blocks
        "deepvit_patch16_224_re_attn_16b",
        dict(img_size=224, patch_size=16, embed_dim=384, depth=16, num_heads=12, mlp_ratio=3)),
    "vit_large_patch16_384 whole": TimmModel("vit_large_patch16_384.augreg_in21k_ft_in1k",
                                             304_715_752),
    "vit_large_patch32_384 whole": TimmModel("vit_large_patch32_384.orig_in21k_ft_in1k",
                                             306_632_680),
    "vit_huge_patch14_clip_224 whole": TimmModel(
        "vit_huge_patch14_clip_224.laion2b_ft_in12k_in1k", 632_045_800),
    "swin_base_patch4_window12_384 whole": TimmModel(
        "swin_base_patch4_window12_384.ms_in22k_ft_in1k", 87_903_584),
}
