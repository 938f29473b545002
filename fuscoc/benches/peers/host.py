"""The host's works: NumPy's take and PyTorch on the CPU. bfloat16 is u16 to NumPy, and f32 to calculate."""

from common import *


def order_of(np, v):
    shape, data = routing_bytes(v, "topk_idx")
    experts = np.frombuffer(data, np.int32).reshape(shape)[: v["G"], : v["T"]].reshape(-1, shape[-1])
    shape, data = routing_bytes(v, "topk_weight")
    weights = np.frombuffer(data, np.float32).reshape(shape)[: v["G"], : v["T"]].reshape(-1, shape[-1])
    order = np.argsort(experts.reshape(-1), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return experts.shape, weights, order, place.reshape(experts.shape)


def noise(np, *shape):
    """bfloat16 between 0.5 and 2, either sign."""
    bits = np.random.default_rng().integers(0, 1 << 16, shape, dtype=np.uint16)
    return bits & 0x80FF | 0x3F00


def wide(np, x):
    return (x.astype(np.uint32) << 16).view(np.float32)


def narrow(np, x):
    """To nearest even."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def dispatch(np, v):
    (tokens, fan), _, order, _ = order_of(np, v)
    token = order // fan
    take = lambda x: np.take(x, token, axis=0)
    torch_take = lambda torch: lambda x: torch.index_select(x, 0, torch.from_numpy(token))
    row = lambda x, i: x[token[i]]
    return lambda: noise(np, tokens, v["H"]), take, torch_take, row, 2 * v["H"] * (tokens + token.size)


def combine(np, v):
    (tokens, fan), weights, _, place = order_of(np, v)

    def take(z):
        return narrow(np, (wide(np, np.take(z, place, axis=0)) * weights[..., None]).sum(1, dtype=np.float32))

    def torch_take(torch):
        w, at = torch.from_numpy(weights), torch.from_numpy(place)
        return lambda z: (z.view(torch.bfloat16)[at].float() * w[..., None]).sum(1).bfloat16()

    row = lambda z, t: sum(wide(np, z[place[t, k]]) * weights[t, k] for k in range(fan))
    pairs = tokens * fan
    return lambda: noise(np, pairs, v["H"]), take, torch_take, row, 2 * v["H"] * (tokens + pairs) + 4 * pairs


def transpose(np, v):
    take = lambda a: np.ascontiguousarray(a.T)
    torch_take = lambda torch: lambda a: a.t().contiguous()
    return lambda: noise(np, v["M"], v["N"]), take, torch_take, lambda a, i: a[:, i], 4 * v["M"] * v["N"]


def main():
    work, v = arguments()
    try:
        import numpy as np
    except ImportError as e:
        return missing(work, "NumPy take", e)
    make, take, torch_take, row, moved = {"dispatch": dispatch, "combine": combine, "transpose": transpose}[work](np, v)
    inputs = sets(lambda: (make(),), moved)

    def check(out):
        out = np.asarray(out)
        for i in np.random.default_rng().integers(0, out.shape[0], 32):
            want, got = row(inputs[0][0], i), out[i]
            if want.dtype == np.float32:
                need(np.allclose(wide(np, got), want, atol=2e-2, rtol=1e-2), f"row {i}")
            else:
                need(np.array_equal(got, want), f"row {i}")

    def numpy():
        check(take(*inputs[0]))
        say(work, "NumPy take", host_ms(take, inputs), moved)

    attempt(work, "NumPy take", numpy)
    try:
        import torch
    except ImportError as e:
        return missing(work, "PyTorch on the CPU", e)

    def with_torch():
        f = torch_take(torch)
        tensors = [(torch.from_numpy(x.view(np.int16)),) for (x,) in inputs]
        out = f(*tensors[0])
        check(out.view(torch.int16).numpy().view(np.uint16))
        say(work, "PyTorch on the CPU", host_ms(f, tensors), moved)

    attempt(work, "PyTorch on the CPU", with_torch)


main()
