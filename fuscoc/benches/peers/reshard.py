"""Movements without a route, all ranks in one tensor, the rank first: PyTorch's views and one copy, eager and compiled.

Each work below gives a function that makes its inputs, the function to time, bytes moved, and the value of an
element of the result by plain indices, to check against.
"""

import random

from common import *


def transpose(torch, v):
    m, n = v["M"], v["N"]
    f = lambda a: a.t().contiguous()
    return noise(torch, m, n), f, 4 * m * n, lambda a, i: a[i[1], i[0]]


def to_tiles(torch, v):
    """8 x 64 tiles by column; of each row of a tile the 16-byte parts are swapped by the row's number."""
    m, c = v["M"], v["C"]
    row = torch.arange(8, device="cuda")[:, None]
    part = row ^ torch.arange(8, device="cuda")[None, :]

    def f(a):
        tiles = a.view(m // 8, 8, c // 64, 8, 8).permute(2, 0, 1, 3, 4)
        return tiles[:, :, row, part, :].contiguous()

    value = lambda a, i: a[i[1] * 8 + i[2], i[0] * 64 + (i[3] ^ i[2]) * 8 + i[4]]
    return noise(torch, m, c), f, 4 * m * c, value


def to_heads(torch, v):
    b, s, n, d = v["B"], v["S"] // 8, v["N"] // 8, v["D"]
    f = lambda q: q.view(8, b, s, 8, n, d).permute(3, 1, 0, 2, 4, 5).contiguous()
    value = lambda q, i: q[i[2], i[1], i[3], i[0] * n + i[4], i[5]]
    return noise(torch, 8, b, s, 8 * n, d), f, 4 * b * 64 * s * n * d, value


def to_seq(torch, v):
    b, s, n, d = v["B"], v["S"] // 8, v["N"] // 8, v["D"]
    f = lambda a: a.view(8, b, 8, s, n, d).permute(2, 1, 3, 0, 4, 5).contiguous()
    value = lambda a, i: a[i[3], i[1], i[0] * s + i[2], i[4], i[5]]
    return noise(torch, 8, b, 8 * s, n, d), f, 4 * b * 64 * s * n * d, value


def cyclic(torch, v):
    """Blocks of 64 dealt over 2 x 4 ranks, columns first, to one block a rank, rows first."""
    m, n = v["M"], v["N"]
    need(m % 256 == 0 and n % 1024 == 0, "only for whole blocks")
    i, j = m // 256, n // 1024
    f = lambda a: a.permute(5, 2, 6, 0, 7, 3, 1, 4).contiguous()
    # a: [p, q, j of 4, j, j of 64, i of 2, i, i of 64]; b: [i of 2, j of 4, i, p, i of 64, j, q, j of 64]
    value = lambda a, x: a[x[3], x[6], x[1], x[5], x[7], x[0], x[2], x[4]]
    make = noise(torch, 2, 4, 4, j, 64, 2, i, 64, dtype=torch.float32)
    return make, f, 8 * m * n, value


def kv(torch, v):
    """Pages of 16 tokens of two ranks to rows of four, heads before tokens."""
    l, p, n, d, most, r = v["L"], v["P"], v["N"], v["D"], v["JMAX"], v["R"]
    held = [(a, b, random.randrange(p)) for a in range(r) for b in range(random.randrange(most + 1))]
    held = held or [(0, 0, 0)]
    request, at, page = torch.tensor(held, device="cuda").t()
    out = torch.zeros(4, l, 2, r, n // 4, most, 16, d, device="cuda", dtype=torch.bfloat16)

    def f(pool):
        got = pool[:, :, :, page].view(2, l, 2, len(held), 16, 2, n // 4, d)
        # The indexed axes come first: [pages, ranks, layers, 2, heads, tokens, d].
        got = got.permute(3, 0, 5, 1, 2, 6, 4, 7).reshape(len(held), 4, l, 2, n // 4, 16, d)
        out[:, :, :, request, :, at] = got
        return out

    where = {(a, b): c for a, b, c in held}

    def value(pool, i):
        c = where.get((i[3], i[5]))
        if c is None:
            return torch.zeros((), device="cuda", dtype=torch.bfloat16)
        head = i[0] % 2 * (n // 4) + i[4]
        return pool[i[0] // 2, i[1], i[2], c, i[6], head, i[7]]

    moved = 4 * len(held) * l * 2 * 16 * n * d
    return noise(torch, 2, l, 2, p, 16, n // 2, d), f, moved, value


def dlrm(torch, v):
    b, d = v["B"], v["D"]
    f = lambda emb: emb.permute(1, 0, 2).to(torch.bfloat16).contiguous()
    value = lambda emb, i: emb[i[1], i[0], i[2]].bfloat16()
    return noise(torch, 8, b, d, dtype=torch.float32), f, 6 * 8 * b * d, value


def reduce_scatter(torch, v):
    m, n = v["M"], v["N"]
    f = lambda y: y.sum(0, dtype=torch.float32).bfloat16()
    return noise(torch, 8, m, n), f, 18 * m * n, added


def all_reduce(torch, v):
    m, n = v["M"], v["N"]
    f = lambda y: y.sum(0, dtype=torch.float32).bfloat16().expand(8, m, n).contiguous()
    return noise(torch, 8, m, n), f, 32 * m * n, lambda y, i: added(y, i[1:])


def added(y, i):
    """In rank order; another order may round otherwise."""
    return sum(y[r, i[0], i[1]].float() for r in range(8)).bfloat16()


def noise(torch, *shape, dtype=None):
    return lambda: (torch.randn(*shape, device="cuda", dtype=dtype or torch.bfloat16),)


WORKS = [transpose, to_tiles, to_heads, to_seq, cyclic, kv, dlrm, reduce_scatter, all_reduce]


def main():
    work, v = arguments()
    torch = torch_on_gpu(work)
    if not torch:
        return
    attempt(work, "PyTorch", lambda: both(torch, work, v))


def both(torch, work, v):
    make, f, moved, value = {w.__name__: w for w in WORKS}[work](torch, v)
    inputs = sets(make, moved)
    summed = work in ("reduce_scatter", "all_reduce")

    def timed(peer, f):
        source, out = inputs[0][0], f(*inputs[0])
        for _ in range(200):
            at = tuple(random.randrange(n) for n in out.shape)
            want, got = value(source, at), out[at]
            right = torch.allclose(got, want, atol=1e-2, rtol=1e-2) if summed else torch.equal(got, want)
            need(right, f"element {at}")
        say(work, peer, cuda_ms(torch, f, inputs), moved)

    attempt(work, "PyTorch", lambda: timed("PyTorch", f))
    attempt(work, "PyTorch compiled", lambda: timed("PyTorch compiled", torch.compile(f, dynamic=False)))


main()
