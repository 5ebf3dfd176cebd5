"""What the bench found, as Markdown tables for people and as JSON for programs."""

import dataclasses
import importlib.metadata
import os
import platform
import shutil
import subprocess

import torch

from bitquake_trial import PROGRAM as BITQUAKE
from timing import Figure


@dataclasses.dataclass
class Report:
    """Rows are added as they are measured; the rest is known from the start."""
    hardware: dict
    versions: dict
    settings: dict
    forward: list = dataclasses.field(default_factory=list)  # ForwardRow
    trials: list = dataclasses.field(default_factory=list)   # TrialRow
    refused: list = dataclasses.field(default_factory=list)  # (what, why)

    def to_json(self):
        return {
            "hardware": self.hardware, "versions": self.versions, "settings": self.settings,
            "forward": [_row_json(row) for row in self.forward],
            "trials": [_row_json(row) for row in self.trials],
            "refused": [{"what": what, "why": why} for what, why in self.refused],
            "ratios": [{"what": what, **ratio.to_json()} for what, ratio in ratios(self)],
        }

    def to_markdown(self):
        parts = [_facts(self)]
        if self.forward:
            parts.append(_forward_table(self.forward))
        if self.trials:
            parts.append(_trial_table(self.trials))
        if self.refused:
            parts.append("Not timed:\n" + "".join(f"\n- {what}: {why}"
                                                  for what, why in self.refused))
        found = ratios(self)
        if found:
            parts.append(_table(("Bitquake against", "times as fast", "min..max"), [
                (what, f"{ratio.median:.2f}", f"{ratio.low:.2f}..{ratio.high:.2f}")
                for what, ratio in found]))
        return "\n\n".join(parts) + "\n"


def ratios(report):
    """(what, how many times as fast Bitquake is), where both were measured."""
    found = []
    for ours in report.forward:
        if ours.program != BITQUAKE:
            continue
        for peer in report.forward:
            if peer.program == BITQUAKE:
                continue
            if (peer.model, peer.compute) == (ours.model, ours.compute):
                found.append((f"{peer.program}, {peer.model} forward, {peer.compute}",
                              ours.images_per_s.over(peer.images_per_s)))
    for ours in report.trials:
        if ours.program != BITQUAKE:
            continue
        for peer in report.trials:
            # fp32 peers also beside our faster modes: fp32 is how their users run them.
            if (peer.program != BITQUAKE and peer.flips == ours.flips
                    and peer.compute in (ours.compute, "fp32")):
                found.append((f"{peer.program} ({peer.route}) {peer.compute}, a trial of "
                              f"{ours.flips:,} flips, Bitquake {ours.compute}",
                              peer.trial_s.over(ours.trial_s)))
    return found


def hardware(device):
    known = {"processor": _processor(), "cores": os.cpu_count()}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        known["gpu"] = properties.name
        known["gpu_memory_gib"] = round(properties.total_memory / 2**30, 1)
        known["driver"] = _driver(device)
    return known


def versions(peers):
    known = {"python": platform.python_version(), "torch": torch.__version__,
             "timm": importlib.metadata.version("timm")}
    if torch.version.cuda:
        known["cuda"] = torch.version.cuda
    if torch.backends.cudnn.is_available():
        known["cudnn"] = torch.backends.cudnn.version()
    for peer in peers:
        known[peer] = importlib.metadata.version(peer)
    return known


def _processor():
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor()


def _driver(device):
    if not shutil.which("nvidia-smi"):
        return "unknown (no nvidia-smi)"
    index = 0 if device.index is None else device.index
    query = subprocess.run(
        ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "-i", str(index)],
        capture_output=True, text=True, check=False)
    return query.stdout.strip() or "unknown"


def _row_json(row):
    return {field.name: value.to_json() if isinstance(value, Figure) else value
            for field in dataclasses.fields(row) for value in [getattr(row, field.name)]}


def _facts(report):
    def join(facts):
        return ", ".join(f"{key} {value}" for key, value in facts.items())

    return (f"{join(report.hardware)}; {join(report.versions)}; {join(report.settings)}. "
            "Figures are medians, with min..max.")


def _cell(figure, form):
    text = form.format(figure.median)
    if len(figure.values) > 1:
        text += f" ({form.format(figure.low)}..{form.format(figure.high)})"
    return text


def _forward_table(rows):
    eager = {(row.model, row.compute): row.images_per_s for row in rows
             if row.program == "timm eager"}
    cells = []
    for row in rows:
        base = eager.get((row.model, row.compute))
        cells.append((row.model, row.compute, row.batch, row.program,
                      _cell(row.images_per_s, "{:,.1f}"),
                      f"{row.images_per_s.median / base.median:.2f}" if base else "", row.note))
    return _table(("forward", "compute", "batch", "program", "images/s", "over timm eager", ""),
                  cells)


def _trial_table(rows):
    cells = [(f"{row.flips:,}", row.compute, f"{row.program}, {row.route}",
              _cell(row.inject_s, "{:.5f}"), _cell(row.infer_s, "{:.4f}"),
              _cell(row.trial_s, "{:.4f}"), row.predictions, row.note) for row in rows]
    table = _table(("flips", "compute", "program", "inject s", "infer s", "trial s",
                    "predictions as the reference's", ""), cells)
    return (f"{table}\n\nOne trial on {rows[0].images:,} images; the peers' lie on the device, "
            "normalised. All faulty weights were found equal to the reference's bit for bit "
            "before. One bit in a word at most: MRFI loses one of two. Inject counts all "
            "injections of a trial (MRFI's every forward) and Bitquake's undo. PyTorchFI's bf16 "
            "casts the faulty model; MRFI's is autocast.")


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
