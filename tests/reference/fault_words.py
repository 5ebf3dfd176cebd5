"""Asks the program fault_words what common/fault makes of weights: numpy arrays in and out."""

import base64
import json
import subprocess

import numpy as np


class Refused(Exception):
    """The program answered with an error."""


def base64_of(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def array_of(text, dtype, shape):
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


class Program:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def ask(self, weights, format, quantization=None, draw=None, layout=None):
        """`weights`: {name: float32 array}, in the order of the surface; `layout`: {name: its block
        and heads}; `draw`: fault, target, seed, trial, ber as fault_words.cc describes them."""
        request = {"format": format, "quantization": quantization or {}, **(draw or {})}
        request["tensors"] = [
            {"name": name, "shape": array.shape, "weights": base64_of(array),
             **(layout or {}).get(name, {})} for name, array in weights.items()]
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        for state in (answer, *answer["drawn"]):
            for name, tensor in state["tensors"].items():
                shape = weights[name].shape
                tensor["words"] = array_of(tensor["words"], np.uint32, shape)
                tensor["values"] = array_of(tensor["values"], np.float32, shape)
                if "scales" in tensor:
                    tensor["scales"] = array_of(tensor["scales"], np.float32, -1)
        return answer
