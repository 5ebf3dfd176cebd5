"""Makes the seeds that no person writes: messages, a checkpoint, packed values.

    python3 tests/fuzz/make_seeds.py        # into tests/fuzz/seeds, from what the repository holds

Needs protoc. The same sources give the same bytes. Seeds that lie there beside these (inputs that
broke something once) stay as they are.
"""

import json
import pathlib
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = ROOT / "tests/fuzz/seeds"
DEMO = ROOT / "deploy/demo/models/vit_tiny_patch4_28.fashion_mnist"
DIGEST = "0123456789abcdef0123456789abcdef"


def write(path, data):
    file = SEEDS / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def header(checkpoint):
    with checkpoint.open("rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(size))


def shapes(tensors):
    """Lines as model_config_fuzz reads them."""
    return "".join(f"{name} {' '.join(map(str, shape))}\n" for name, shape in tensors.items())


def vit(depth, width, **more):
    tensors = {"cls_token": [1, 1, width], "pos_embed": [1, 5, width],
               "patch_embed.proj.weight": [width, 3, 4, 4], "patch_embed.proj.bias": [width]}
    for i in range(depth):
        block = f"blocks.{i}."
        tensors |= {block + "norm1.weight": [width], block + "norm1.bias": [width],
                    block + "attn.qkv.weight": [3 * width, width],
                    block + "attn.qkv.bias": [3 * width]}
        tensors |= {block + name.format(i): shape for name, shape in more.items()}
        tensors |= {block + "attn.proj.weight": [width, width], block + "attn.proj.bias": [width],
                    block + "norm2.weight": [width], block + "norm2.bias": [width],
                    block + "mlp.fc1.weight": [4 * width, width], block + "mlp.fc1.bias": [4 * width],
                    block + "mlp.fc2.weight": [width, 4 * width], block + "mlp.fc2.bias": [width]}
    return tensors | {"norm.weight": [width], "norm.bias": [width], "head.weight": [3, width],
                      "head.bias": [3]}


def swin():
    tensors = {"patch_embed.proj.weight": [8, 3, 2, 2], "patch_embed.proj.bias": [8],
               "patch_embed.norm.weight": [8], "patch_embed.norm.bias": [8]}
    for stage, width in enumerate((8, 16)):
        if stage > 0:
            tensors |= {f"layers.{stage}.downsample.norm.weight": [2 * width],
                        f"layers.{stage}.downsample.norm.bias": [2 * width],
                        f"layers.{stage}.downsample.reduction.weight": [width, 2 * width]}
        block = f"layers.{stage}.blocks.0."
        tensors |= {block + "norm1.weight": [width], block + "norm1.bias": [width],
                    block + "attn.relative_position_bias_table": [9, 2],
                    block + "attn.qkv.weight": [3 * width, width],
                    block + "attn.qkv.bias": [3 * width],
                    block + "attn.proj.weight": [width, width], block + "attn.proj.bias": [width],
                    block + "norm2.weight": [width], block + "norm2.bias": [width],
                    block + "mlp.fc1.weight": [4 * width, width],
                    block + "mlp.fc1.bias": [4 * width],
                    block + "mlp.fc2.weight": [width, 4 * width], block + "mlp.fc2.bias": [width]}
    return tensors | {"norm.weight": [16], "norm.bias": [16], "head.fc.weight": [3, 16],
                      "head.fc.bias": [3]}


def config(architecture, **more):
    means = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_pct": 0.9,
             "interpolation": "bicubic", "crop_mode": "center"}
    return json.dumps({"architecture": architecture, "num_classes": 3, "pretrained_cfg": means} | more)


def checkpoints():
    demo = {name: entry["shape"] for name, entry in header(DEMO / "model.safetensors").items()
            if name != "__metadata__"}
    deepvit = {"attn.reatten_matrix.weight": [2, 2, 1, 1], "attn.reatten_matrix.bias": [2],
               "attn.var_norm.weight": [2], "attn.var_norm.bias": [2],
               "attn.var_norm.running_mean": [2], "attn.var_norm.running_var": [2],
               "attn.var_norm.num_batches_tracked": []}
    script = {"conv1.weight": [4, 3, 3, 3], "bn.running_mean": [4], "fc.weight": [3, 4]}
    models = {
        "demo": ((DEMO / "config.json").read_text(), demo),
        "vit": (config("vit_x", model_args={"num_heads": 2, "mlp_ratio": 4.0}), vit(1, 8)),
        "deit_distilled": (config("deit_tiny_distilled_patch4_8", model_args={"num_heads": 2}),
                           {**vit(1, 8), "dist_token": [1, 1, 8], "pos_embed": [1, 6, 8],
                            "head_dist.weight": [3, 8], "head_dist.bias": [3]}),
        "deepvit": (config("deepvit_x"), vit(1, 8, **deepvit)),
        "swin": (config("swin_x_8", model_args={"window_size": 2, "num_heads": [2, 2]}), swin()),
        "script": (config("resnet18", pretrained_cfg={
            "input_size": [3, 32, 32], "mean": [0, 0, 0], "std": [1, 1, 1]}), script),
    }
    deep = config("vit_x").replace('3, "pre', "[" * 2000 + "]" * 2000 + ', "pre')
    models["nested"] = (deep, {})
    for name, (text, tensors) in models.items():
        write(f"model_config/{name}", text.encode() + b"\0" + shapes(tensors).encode())


def safetensors():
    def file(entries, data, **more):
        text = json.dumps(more | entries).encode()
        return struct.pack("<Q", len(text)) + text + data

    write("safetensors/two", file(
        {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
         "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}},
        struct.pack("<6f", 1, -2, 0.5, 1e-9, 3e38, 0) + bytes(8), __metadata__={"format": "pt"}))
    write("safetensors/empty", file({"a": {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]},
                                     "b": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]}},
                                    bytes(8)))
    write("safetensors/nothing", file({}, b""))
    write("safetensors/demo", file(dict(list(header(DEMO / "model.safetensors").items())[:8]), b""))


def number_formats():
    words = struct.pack("<8I", 0, 1, 0x7f800000, 0x7fc00000, 0x3f800000, 0xbf000000, 0x80000000,
                        0x00000001)
    for name in ("int8", "int2", "fixed(2.6)", "fixed(1.31)", "fp32", "fp16", "bf16", "fp8_e4m3",
                 "fp8_e5m2", "int17", "fp4"):
        write(f"number_format/{name}", name.encode() + b"\0" + b"\1\0" + words)
    write("number_format/percentile", b"int8\0" + b"\0\1" + struct.pack("<f", 99.9) + words[16:24])


def targets():
    for kind in range(8):
        for family in range(5):
            write(f"targets/{kind}_{family}",
                  bytes([family, 7, 0, kind, 1, 0, 1, 2, 0, 1, 5, 0]) + b"name\0" + b"attn|fc\\d\0")


def images():
    """Blank grey JPEGs, progressive: larger than their bytes, and with more scans than it takes."""
    def segment(marker, data):
        return bytes([0xff, marker]) + struct.pack(">H", 2 + len(data)) + data

    def jpeg(width, height, scans):
        blocks = -(-width // 8) * -(-height // 8)
        codes = bytes(blocks // 8) + bytes([0xff >> blocks % 8] * (blocks % 8 > 0))  # a bit a block
        only_zero = bytes([1]) + bytes(15) + bytes([0])
        data = b"\xff\xd8" + segment(0xdb, b"\0" + b"\1" * 64)
        data += segment(0xc2, struct.pack(">BHH", 8, height, width) + b"\1\1\x11\0")
        data += segment(0xc4, b"\0" + only_zero) + segment(0xc4, b"\x10" + only_zero)
        data += segment(0xda, b"\1\1\0\0\0\0") + codes
        return data + (scans - 1) * (segment(0xda, b"\1\1\0\1\x3f\0") + codes) + b"\xff\xd9"

    write("image/blank.jpg", jpeg(640, 480, 2))
    write("image/scans.jpg", jpeg(16, 16, 90))


def reports():
    def text(*names):
        return b"".join(name + b"\0" for name in names)

    trial = bytes([0, 200, 100, 120, 30, 5, 7, 0]) + text(b"d")
    cells = b""
    for granularity, target in ((b"bit", b"bit7"), (b"head", b"blocks.0.attn.h1"),
                                (b"block", b"a,\"b\"\r\n\x1b[2J"), (b"block", b"blocks.1")):
        for ber in (9, 99):
            cells += text(b"c", "modèle".encode(), b"int8", b"bit_flip", granularity, target)
            cells += struct.pack("<HHBBB", ber, 64, 250, 225, 3) + 3 * trial
    write("report/cells", cells)


def messages():
    def encode(kind, message, text):
        return kind, subprocess.run(
            ["protoc", f"--proto_path={ROOT / 'proto'}", f"--encode=bitquake.v1.{message}",
             "bitquake/v1/campaign.proto", "bitquake/v1/worker.proto"],
            input=text.encode(), stdout=subprocess.PIPE, check=True, cwd=ROOT / "proto").stdout

    probe = ("probe { job_id: 3 config_json: %s model_digest: 'a' data_digest: 'b' images: 100 "
             "fold_sizes: [50, 50] chunk: 8 %s }" % (
                 json.dumps(config("vit_x", model_args={"num_heads": 2})),
                 " ".join(f"tensors {{ name: '{name}' shape: {shape} }}"
                          for name, shape in vit(1, 8).items())))
    counts = ("images: 8 top1: 5 top5: 7 golden_top1: 6 golden_top5: 8 sdc: 2 due: 1 inferences: 8")
    resolved = json.dumps(json.dumps({"name": "n", "models": ["m"], "dataset": "d", "ber": [1e-6]}))
    head = "worker_id: 'w' sequence: 1 lease_id: 2 campaign_id: 'c' "
    seeds = {
        "probe": encode(0, "OutcomeReport", head + probe),
        "golden": encode(0, "OutcomeReport", head + "golden { job_id: 4 images: 2 top1: 1 top5: 2 "
                         "predictions: '\\0\\0\\0\\0\\1\\0\\0\\0' image_numbers: [0, 1] labels: [0, 1] "
                         "attention { heads: 1 sums: [1.5, 2.5] } }"),
        "outcome": encode(0, "OutcomeReport", head + "trial { job_id: 5 images: 8 top1: 5 flips: 2 "
                          "flips_wanted: 2 flips_per_bit: [1, 1] correct: '\\037' same: '\\017' }"),
        "failure": encode(0, "OutcomeReport", head + "failure { job_ids: [1, 2] error: 'no' }"),
        "lease_end": encode(0, "OutcomeReport", head + "lease_end {}"),
        "trial": encode(1, "TrialRecord", f"resolved_json: {resolved} model: 'm' format: 'int8' "
                        f"target: 'model' ber: 1e-6 fault: 'bit_flip' finished: true "
                        f"counts {{ {counts} }} flips: 2 flips_per_bit: [1, 1] faults_digest: "
                        f"'{DIGEST}' folds {{ fold: 0 counts {{ {counts} }} digest: '{DIGEST}' "
                        "device_kind: 'cpu' correct: '\\037' same: '\\017' }"),
        # What no honest peer says, and what once ended the process.
        "nameless": encode(0, "OutcomeReport",
                           head + """probe { config_json: '{"architecture": 5}' }"""),
        "endless_fold": encode(1, "TrialRecord", "finished: true folds { counts { images: "
                               "1152921504606846976 } correct: '\\037' }"),
        "negative_fold": encode(1, "TrialRecord", "finished: true folds { counts { images: -9 } "
                                "same: '\\037' }"),
        "status": encode(2, "CampaignStatus", "campaign_id: 'c' name: 'n' state: 2 jobs_total: 9 "
                         "worst_cell { model: 'm' format: 'int8' target: 't' ber: 1e-6 "
                         "half_width: 0.5 } poison_errors: 'e'"),
    }
    for name, (kind, data) in seeds.items():
        write(f"grpc_messages/{name}", bytes([kind]) + data)
    batches = [
        "info { status { campaign_id: 'c' name: 'n' state: 4 } "
        f"resolved_json: {resolved} images: 8 folds: 1 models {{ model: 'm' chunk: 8 }} "
        "goldens { model: 'm' format: 'int8' images: 8 top1: 6 top5: 8 least_fold_top1: 75 "
        "most_fold_top1: 75 attention { heads: 1 sums: [1.5, 2.5] } } device_kinds: 'cpu' }",
        "cells { cells { model: 'm' format: 'int8' fault: 'bit_flip' granularity: 'model' "
        "target: 'model' ber: 1e-6 bits: 64 trials { trial: 0 images: 8 top1: 5 top5: 7 "
        "golden_top1: 6 golden_top5: 8 sdc: 2 flips: 2 faults_digest: 'd' } trials { trial: 1 "
        "images: 8 top1: 6 top5: 7 golden_top1: 6 golden_top5: 8 flips: 1 faults_digest: 'e' } } }",
        "fold { fold: 0 images: [0, 1, 2] labels: [1, 0, 1] }",
        "images { outcomes { cell: 0 trial: 1 fold: 0 images: 8 correct: '\\037' same: '\\017' } }",
        "attention { trials { cell: 0 trial: 1 attention { heads: 1 sums: [1.5, 2.5] } } }",
    ]
    counted_to_the_brim = batches[1].replace("images: 8", "images: 9223372036854775807")
    for name, parts in {"results": batches,
                        "overflow": [batches[0], counted_to_the_brim]}.items():
        stream = b""
        for text in parts:
            _, data = encode(3, "ResultBatch", text)
            size = len(data)
            while size > 127:
                stream += bytes([size & 127 | 128])
                size >>= 7
            stream += bytes([size]) + data
        write(f"grpc_messages/{name}", b"\3" + stream)


def campaigns():
    """As JSON, with every field that takes more than one form."""
    base = {"name": "n", "seed": 18446744073709551615, "models": ["m"], "dataset": "d",
            "formats": ["int8", "fixed(2.6)"], "ber": [0, 1e-9, 0.5, 1]}
    variants = {
        "plain": {},
        "rich": {"granularities": ["model", {"head": {"blocks": [0, 1], "types": ["q"]}},
                                   {"regex": {"match": "fc\\d", "name": "mlps", "ber": [1e-3]}},
                                   {"bit": {"positions": [7, 6]}}],
                 "fault": [{"kind": "bit_flip", "protection": "secded"},
                           {"kind": "bit_flip", "protect": [{"target": "blocks.0", "top": 2}]},
                           {"kind": "burst", "length": 3}],
                 "surface": {"include": ["norm"], "exclude": ["^head"]},
                 "scale": "per_channel", "observer": {"percentile": 99.9},
                 "trials": {"min": 10, "max": 50, "half_width": 0.5}, "images": {"spread": 2},
                 "keep": "images", "attention_distance": "golden", "interval": "bca"},
        "search": {"ber": {"search": {"loss": [1, 5]}}},
        "list": {"fault": {"kind": "list", "faults": "tensor,index,bit\nhead.weight,1,0\n"}},
    }
    for name, more in variants.items():
        fields = base | more
        if name == "list":
            del fields["ber"]
        write(f"campaign_json/{name}", json.dumps(fields).encode())


if __name__ == "__main__":
    for make in (campaigns, checkpoints, safetensors, number_formats, targets, images, reports,
                 messages):
        make()
