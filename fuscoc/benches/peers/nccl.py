"""Several devices, one process each (torchrun): all_to_all_single with permutes before and after it.

The counts and orders that the permutes need are known: planning is not timed. `device=cpu` runs on gloo, to try
the script. WORK may name several, with commas. Rank 0 prints the lines; a time is that of the slowest rank.
"""

import torch.distributed as dist
from common import *


class World:
    """This process among the others."""

    def __init__(self, torch, device):
        self.torch, self.rank, self.ranks = torch, int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.cuda = device == "cuda"
        self.device = f"cuda:{self.rank}" if self.cuda else "cpu"
        if self.cuda:
            torch.cuda.set_device(self.rank)
        dist.init_process_group("nccl" if self.cuda else "gloo", rank=self.rank, world_size=self.ranks)

    def exchange(self, rows, out=None, send=None, got=None):
        """Rows by their receiver to rows by their sender; bytes, so that every back end takes them."""
        if out is None:
            out = rows.new_empty(sum(got) if got else rows.shape[0], *rows.shape[1:])
        u8 = lambda x: x.view(x.shape[0], -1).view(self.torch.uint8)
        dist.all_to_all_single(u8(out), u8(rows), got, send)
        return out

    def agreed(self, check):
        """Raises on every rank if the check fails on one, so that none waits for it."""
        failure = None
        try:
            check()
        except Exception as e:
            failure = e
        failed = self.torch.tensor([0 if failure is None else 1], device=self.device)
        dist.all_reduce(failed)
        if failed.item():
            raise failure or AssertionError(f"wrong result on {failed.item()} ranks")

    def ms(self, f, inputs):
        """The median over runs of the slowest rank's time."""
        torch, times = self.torch, []
        for i in range(5 + RUNS):
            dist.barrier()
            if self.cuda:
                marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
                torch.cuda.synchronize()
                marks[0].record()
            start = time.perf_counter()
            f(*inputs[i % len(inputs)])
            if self.cuda:
                marks[1].record()
                marks[1].synchronize()
            ms = marks[0].elapsed_time(marks[1]) if self.cuda else (time.perf_counter() - start) * 1e3
            slowest = torch.tensor([ms], device=self.device)
            dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
            times.append(slowest.item())
        times = sorted(times[5:])
        return (times[(RUNS - 1) // 2] + times[RUNS // 2]) / 2


def values(torch, ids, width):
    """Rows that say where they come from: bfloat16 between -1 and 1."""
    column = torch.arange(width, device=ids.device)
    return (((ids[:, None] * 7919 + column * 104729) % 2003 - 1001).float() / 1001).bfloat16()


class Routes:
    """Who sends which rows to whom, from the experts of this rank's tokens."""

    def __init__(self, world, v):
        torch = self.torch = world.torch
        experts, self.weights = routes_of(torch, world, v)
        self.tokens, self.fan = experts.shape
        flat = experts.reshape(-1)
        order = torch.argsort(flat, stable=True)
        self.token = order // self.fan
        self.place = torch.empty_like(order)
        self.place[order] = torch.arange(order.numel(), device=world.device)
        here = world.rank * self.tokens + self.token
        self.ids = here * v["E"] + flat[order]
        target = flat[order] // (v["E"] // world.ranks)
        counts = torch.bincount(target, minlength=world.ranks)
        self.send = counts.tolist()
        self.got = world.exchange(counts.view(-1, 1)).view(-1).tolist()
        arrived = world.exchange(self.ids.view(-1, 1), None, self.send, self.got).view(-1)
        # By expert; within one by source rank, then by token.
        self.last = torch.argsort(arrived % v["E"], stable=True)
        self.back = torch.empty_like(self.last)
        self.back[self.last] = torch.arange(self.last.numel(), device=world.device)
        self.arrived = arrived[self.last]
        pairs = torch.tensor([order.numel()], device=world.device)
        dist.all_reduce(pairs)
        self.pairs = pairs.item()


def routes_of(torch, world, v):
    tokens, fan, experts = v["T"], v["K"], v["E"]
    if v.get("random"):
        torch.manual_seed(world.rank)
        index = torch.rand(tokens, experts).topk(fan)[1]
        return index.to(world.device), torch.rand(tokens, fan).to(world.device)
    out = []
    for key, dtype in (("topk_idx", torch.int32), ("topk_weight", torch.float32)):
        shape, data = routing_bytes(v, key)
        out.append(torch.frombuffer(data, dtype=dtype).view(shape)[world.rank, :tokens].contiguous().to(world.device))
    return out[0].long(), out[1]


def dispatch(world, v):
    """Rows by expert, sent, and by expert over all sources."""
    torch, r = world.torch, Routes(world, v)
    first = world.rank * r.tokens
    x = lambda: (values(torch, torch.arange(first, first + r.tokens, device=world.device), v["H"]),)

    def right(y):
        for at in range(0, y.shape[0], 1024):
            want = values(torch, r.arrived[at : at + 1024] // v["E"], v["H"])
            need(torch.equal(y[at : at + 1024], want), f"rows from {at} on rank {world.rank}")

    before, after = lambda x: x[r.token], lambda got: got[r.last]
    moved = 2 * v["H"] * (r.tokens * world.ranks + r.pairs)
    return x, before, (r.send, r.got), after, right, moved


def combine(world, v):
    """The way back, weighted and added up."""
    torch, r = world.torch, Routes(world, v)
    z = lambda: (values(torch, r.arrived, v["H"]),)

    def after(got):
        return (got[r.place].view(r.tokens, r.fan, -1).float() * r.weights[..., None]).sum(1).bfloat16()

    def right(o):
        for at in range(0, r.tokens, 256):
            some = slice(at, at + 256)
            ids = r.ids[r.place].view(r.tokens, r.fan)[some]
            rows = values(torch, ids.reshape(-1), v["H"]).view(*ids.shape, -1).double()
            want = (rows * r.weights[some, :, None].double()).sum(1)
            need(torch.allclose(o[some].double(), want, atol=3e-2, rtol=1e-2), f"tokens from {at}")

    moved = 2 * v["H"] * (r.tokens * world.ranks + r.pairs) + 4 * r.pairs
    return z, lambda z: z[r.back], (r.got, r.send), after, right, moved


def static(world, shape, before, after, wanted, total):
    """A reshard: `shape` is this rank's part, its values say where in the whole each element lies."""
    torch = world.torch
    part = lambda at: ((at % 2003 - 1001).float() / 1001).bfloat16()
    right = lambda out: need(torch.equal(out, part(wanted())), f"rank {world.rank}")
    return lambda: (part(shape()),), before, (None, None), after, right, 4 * total


def grid(world, sizes, fixed, strides):
    """Positions in the whole of a part: `fixed` moves the first one."""
    at = world.torch.full(sizes, fixed, device=world.device, dtype=world.torch.int64)
    for axis, (size, stride) in enumerate(zip(sizes, strides)):
        view = [1] * len(sizes)
        view[axis] = size
        at += (world.torch.arange(size, device=world.device) * stride).view(view)
    return at


def to_heads(world, v):
    b, s, n, d, g = v["B"], v["S"], v["N"], v["D"], world.ranks
    strides = (s * n * d, n * d, d, 1)
    rows = lambda: grid(world, (b, s // g, n, d), world.rank * (s // g) * n * d, strides)
    heads = lambda: grid(world, (b, s, n // g, d), world.rank * (n // g) * d, strides)
    before = lambda q: q.view(b, s // g, g, n // g, d).permute(2, 0, 1, 3, 4).contiguous()
    after = lambda got: got.permute(1, 0, 2, 3, 4).reshape(b, s, n // g, d)
    return static(world, rows, before, after, heads, b * s * n * d)


def to_seq(world, v):
    b, s, n, d, g = v["B"], v["S"], v["N"], v["D"], world.ranks
    strides = (s * n * d, n * d, d, 1)
    rows = lambda: grid(world, (b, s // g, n, d), world.rank * (s // g) * n * d, strides)
    heads = lambda: grid(world, (b, s, n // g, d), world.rank * (n // g) * d, strides)
    before = lambda p: p.view(b, g, s // g, n // g, d).permute(1, 0, 2, 3, 4).contiguous()
    after = lambda got: got.permute(1, 2, 0, 3, 4).reshape(b, s // g, n, d)
    return static(world, heads, before, after, rows, b * s * n * d)


def transpose(world, v):
    m, n, g = v["M"], v["N"], world.ranks
    source = lambda: grid(world, (m // g, n), world.rank * (m // g) * n, (n, 1))
    target = lambda: grid(world, (n // g, m), world.rank * (n // g), (1, n))
    before = lambda a: a.view(m // g, g, n // g).permute(1, 2, 0).contiguous()
    after = lambda got: got.permute(1, 0, 2).reshape(n // g, m)
    return static(world, source, before, after, target, m * n)


WORKS = [dispatch, combine, to_heads, to_seq, transpose]


def measure(world, work, v):
    make, before, (send, got), after, right, moved = {w.__name__: w for w in WORKS}[work](world, v)
    inputs = sets(make, moved // world.ranks)
    name = "NCCL" if world.cuda else "gloo"
    compiled = lambda f: world.torch.compile(f, dynamic=False)

    def timed(peer, before, after):
        f = lambda x: after(world.exchange(before(x), None, send, got))
        world.agreed(lambda: right(f(*inputs[0])))
        ms = world.ms(f, inputs)
        if world.rank == 0:
            say(work, peer, ms, moved)

    each(world, work, f"{name} all-to-all", lambda: timed(f"{name} all-to-all", before, after))
    peer = f"{name} all-to-all compiled"
    each(world, work, peer, lambda: timed(peer, compiled(before), compiled(after)))


def each(world, work, peer, f):
    """As attempt, but only rank 0 has a line to print."""
    if world.rank == 0:
        return attempt(work, peer, f)
    try:
        f()
    except Exception:
        traceback.print_exc()


def main():
    work, v = arguments()
    first = os.environ.get("RANK", "0") == "0"
    import torch

    ranks, device = int(os.environ.get("WORLD_SIZE", "1")), v.get("device", "cuda")
    have = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cuda" and have < ranks:
        for one in work.split(",") if first else []:
            missing(one, "NCCL", f"{ranks} processes need {ranks} CUDA devices, {have} are here")
        return
    world = World(torch, device)
    for one in work.split(","):
        measure(world, one, v)
        if world.cuda:
            torch.cuda.empty_cache()
    dist.destroy_process_group()


main()
