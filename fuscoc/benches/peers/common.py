"""What the scripts share: arguments, traces, times, and the lines they print.

python3 SCRIPT WORK NAME=VALUE .. prints one line of JSON for each way to do the work:
{"work", "peer", "ms", "gb_s"}, or {"work", "peer", "missing"} with the reason. Times are the median of 30 by
CUDA events; inputs are rotated, and a copy of 256 MiB passes before each, so that no cache holds them.
"""

import json
import os
import struct
import sys
import time
import traceback

RUNS = 30
BEYOND_CACHE = 256 << 20


def arguments():
    """The work and its numbers; `traces` is a folder, `device` cuda or cpu."""
    values = dict(a.split("=", 1) for a in sys.argv[2:])
    return sys.argv[1], {k: v if k in ("traces", "device") else int(v) for k, v in values.items()}


def say(work, peer, ms, moved):
    print(json.dumps({"work": work, "peer": peer, "ms": ms, "gb_s": moved / ms / 1e6}), flush=True)


def missing(work, peer, why):
    print(json.dumps({"work": work, "peer": peer, "missing": str(why)}), flush=True)


def torch_on_gpu(work):
    """PyTorch, or None once the line that says what is missing is printed."""
    try:
        import torch
    except ImportError as e:
        return missing(work, "PyTorch", e)
    if not torch.cuda.is_available():
        return missing(work, "PyTorch", "no CUDA device for it")
    torch.manual_seed(int.from_bytes(os.urandom(4), "little"))
    return torch


def raw(path, key):
    """Element type, shape and bytes of one tensor of a safetensors file."""
    with open(path, "rb") as f:
        length = struct.unpack("<Q", f.read(8))[0]
        info = json.loads(f.read(length))[key]
        first, last = info["data_offsets"]
        f.seek(8 + length + first)
        return info["dtype"], info["shape"], bytearray(f.read(last - first))


# The trace that fits the number of experts.
FILES = {256: "e256_k8_r8", 128: "e128_k8_r4", 8: "e8_k2_r2"}


def routing_bytes(values, key):
    path = os.path.join(values["traces"], FILES[values["E"]] + ".safetensors")
    _, shape, data = raw(path, key)
    return shape, data


def routing(torch, values):
    """Experts [G * T, K] as i64 and weights as f32, on the device."""
    out = []
    for key, dtype in (("topk_idx", torch.int32), ("topk_weight", torch.float32)):
        shape, data = routing_bytes(values, key)
        part = torch.frombuffer(data, dtype=dtype).view(shape)[: values["G"], : values["T"]]
        out.append(part.reshape(-1, shape[-1]).cuda())
    return out[0].long(), out[1]


def sets(make, touched):
    """Inputs, rotated: 2 to 8 of them, past the cache together."""
    return [make() for _ in range(min(max(BEYOND_CACHE // max(touched, 1) + 1, 2), 8))]


def cuda_ms(torch, f, inputs):
    """Milliseconds of `f(*inputs[i])`: the median; short ones ten at a time."""
    filler = [torch.empty(BEYOND_CACHE, dtype=torch.uint8, device="cuda") for _ in range(2)]

    def once(first, batch):
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        filler[0].copy_(filler[1])
        marks[0].record()
        for i in range(first, first + batch):
            f(*inputs[i % len(inputs)])
        marks[1].record()
        return marks

    def ms(marks):
        marks[1].synchronize()
        return marks[0].elapsed_time(marks[1])

    for i in range(5):
        f(*inputs[i % len(inputs)])
    torch.cuda.synchronize()
    batch = 10 if ms(once(0, 1)) < 0.2 else 1
    times = sorted(ms(once(i * batch, batch)) / batch for i in range(RUNS))
    return (times[(RUNS - 1) // 2] + times[RUNS // 2]) / 2


def host_ms(f, inputs):
    """As cuda_ms, by the clock of the host."""
    for i in range(3):
        f(*inputs[i % len(inputs)])
    times = []
    for i in range(RUNS):
        start = time.perf_counter()
        f(*inputs[i % len(inputs)])
        times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    return (times[(RUNS - 1) // 2] + times[RUNS // 2]) / 2


def attempt(work, peer, f):
    """Runs one peer; what goes wrong is its line."""
    try:
        f()
    except Exception as e:  # a peer that cannot run must not hide the others
        traceback.print_exc()
        missing(work, peer, f"{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}")


def need(right, what):
    """Raises unless the peer's result is right."""
    if not right:
        raise AssertionError(f"wrong result: {what}")
