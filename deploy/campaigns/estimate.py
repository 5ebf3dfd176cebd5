#!/usr/bin/env python3
"""What the campaigns of this folder cost on one GPU: rewrites the table of README.md.

    python3 deploy/campaigns/estimate.py --runs runs [--check]

Cells and inferences are what `bitquake validate` forecasts, of each granularity alone, over folders that
have the models' shapes and no weights (shapes.py), and 50,000 images. Speeds are those of the project's
README.md ("Performance"); a model that was not measured there is scaled from the one of nearest cost by
the multiply-adds of a forward pass. Adaptive trials, in the middle case, differ as those of the small
campaign of the same name in --runs (claims.py leaves them there) did.

--check only says whether README.md has these numbers (exit code 1 if not).
"""

import argparse
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

import claims
import shapes
from claims import BIN, PROJECT

HERE = pathlib.Path(__file__).resolve().parent
CAMPAIGNS = ("model-wise", "layer-wise", "type-wise", "head-wise", "cnn-fixed-point", "swin", "deepvit")
IMAGES = 50_000
ADAPTIVE = {"trials": {"min": 10, "max": 500, "half_width": 0.5}, "images": "spread"}
NAMES = {"ViT-B/16-224": "vit_base_patch16_224.augreg_in21k_ft_in1k",
         "ViT-L/16-384": "vit_large_patch16_384.augreg_in21k_ft_in1k",
         "ViT-B/32-224": "vit_base_patch32_224.augreg_in21k_ft_in1k"}
BEGIN, END = "<!-- estimate.py: begin -->\n", "<!-- estimate.py: end -->\n"


def measured_speeds():
    """(images a second by (model, compute), block-wise over model-wise by compute), of README.md."""
    text = (PROJECT / "README.md").read_text()
    speeds = {}
    for row in re.findall(r"(?m)^\| (ViT-\S+), (fp32|bf16) \|(.*)\|$", text):
        cells = [cell.strip().replace(",", "") for cell in row[2].split("|")]
        speeds[NAMES[row[0]], row[1]] = float(cells[3])  # batch, timm eager, compiled, Bitquake
    reuse = re.search(r"(?m)^\| block-wise, of model-wise \| ([\d.]+) \| ([\d.]+) \|", text)
    return speeds, {"fp32": float(reuse[1]), "bf16": float(reuse[2])}


def speed(model, compute, speeds):
    """Images a second of bare forward passes."""
    cost = shapes.multiply_adds
    known = [name for name, mode in speeds if mode == compute]
    nearest = min(known, key=lambda name: abs(math.log(cost(name) / cost(model))))
    return speeds[nearest, compute] * cost(nearest) / cost(model)


def validate(campaign, folder, like=None):
    file = folder / "campaign.json"
    file.write_text(json.dumps(campaign))
    command = [BIN / "bitquake", "validate", file, "--model-root", folder / "models", "--data-root", folder / "data"]
    done = subprocess.run([*map(str, command), *(["--like", str(like)] if like else [])], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"estimate: {done.stderr}")

    def number(pattern, default=None):
        found = re.search(pattern, done.stdout)
        return float(found[1].replace(",", "")) if found else default

    least = number(r"inferences: ([\d,]+)")
    return {"cells": number(r"cells: ([\d,]+)\n"), "least": least,
            "most": number(r"inferences: [\d,]+ to ([\d,]+)", least), "seen": number(r"a trial sees ([\d,]+)"),
            "trials": number(r"that takes (\d+) trials a cell")}


def resumes(granularity):
    """Whether trials of such targets begin at some block, and not at the first."""
    text = json.dumps(granularity)
    return "block" in text or "head" in text or "tensor" in text


def estimate(name, folder, runs, speeds, reuse):
    resolved = json.loads(subprocess.run([str(BIN / "bitquake"), "validate", str(HERE / f"{name}.yaml"), "--json"],
                                         capture_output=True, text=True, check=True).stdout)["campaign"]
    total = {"cells": 0, "full": 0, "least": 0, "typical": 0, "most": 0}
    hours = {(design, compute): 0.0 for design in ("full", "typical") for compute in ("fp32", "bf16")}
    for model in resolved["models"]:
        golden = IMAGES * (len(resolved["formats"]) + 1)
        script = model.startswith("resnet")
        total.update({key: total[key] + golden for key in ("full", "least", "typical", "most")})
        for granularity in [None, *resolved["granularities"]]:
            if granularity is None:
                counts = {"full": golden, "typical": golden}
                gain = {"fp32": 1, "bf16": 1}
            else:
                campaign = {**resolved, "models": [model], "granularities": [granularity]}
                full = validate(campaign, folder)
                adaptive = validate({**campaign, **ADAPTIVE}, folder, runs / name)
                trials = min(max(adaptive["trials"], ADAPTIVE["trials"]["min"]), ADAPTIVE["trials"]["max"])
                counts = {"full": full["least"] - golden, "typical": full["cells"] * trials * adaptive["seen"]}
                total["cells"] += full["cells"]
                total["full"] += counts["full"]
                total["typical"] += counts["typical"]
                total["least"] += adaptive["least"] - golden
                total["most"] += adaptive["most"] - golden
                gain = reuse if resumes(granularity) and not script else {"fp32": 1, "bf16": 1}
            for design, compute in hours:
                hours[design, compute] += (counts[design] / speed(model, compute, speeds) / gain[compute] / 3600
                                           if not (script and compute == "bf16") else math.nan)
    return total, hours


def millions(count):
    return f"{count / 1e6:,.1f} M" if count < 1e8 else f"{count / 1e6:,.0f} M"


def hour_text(value):
    return "-" if math.isnan(value) else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def table(runs):
    speeds, reuse = measured_speeds()
    lines = ["| campaign | cells | ten full repeats: inferences | GPU h, fp32 | GPU h, bf16 | adaptive: inferences "
             "(least to most) | GPU h, fp32 | GPU h, bf16 |", "|---|---|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="bitquake-estimate-") as name:
        folder = pathlib.Path(name)
        for model in shapes.MODELS:
            shapes.write(model, folder / "models" / model)
        data = folder / "data" / "imagenet-1k"
        data.mkdir(parents=True)
        (data / "_info.json").write_text(json.dumps({"splits": {"validation": {"num_samples": IMAGES}}}))
        for campaign in CAMPAIGNS:
            total, hours = estimate(campaign, folder, runs, speeds, reuse)
            lines.append(" | ".join([
                f"| `{campaign}.yaml`", f"{total['cells']:,.0f}", millions(total["full"]),
                hour_text(hours["full", "fp32"]), hour_text(hours["full", "bf16"]),
                f"{millions(total['typical'])} ({millions(total['least'])} to {millions(total['most'])})",
                hour_text(hours["typical", "fp32"]), hour_text(hours["typical", "bf16"])]) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs"), help="where claims.py left its runs")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the table would change")
    arguments = parser.parse_args()
    page = HERE / "README.md"
    text = page.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    made = text[:begin] + table(arguments.runs) + text[end:]
    if arguments.check:
        claims_page = (HERE / "CLAIMS.md").read_text()
        devices = claims.devices_text(claims.Run(arguments.runs / name) for name in CAMPAIGNS)
        same_device = claims_page[slice(*claims.section(claims_page, "device"))] == devices
        sys.exit(not (made == text if same_device else claims.nearly(made, text)))
    page.write_text(made)
    print(made[begin:made.index(END)], end="")


if __name__ == "__main__":
    main()
