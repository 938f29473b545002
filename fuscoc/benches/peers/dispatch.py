"""Token-major rows to expert-major rows, the order of the pairs known: one gather, three passes, a Triton kernel."""

from common import *


def main():
    work, v = arguments()
    torch = torch_on_gpu(work)
    if not torch:
        return
    experts, _ = routing(torch, v)
    pairs, fan, hidden = experts.numel(), experts.shape[1], v["H"]
    flat = experts.reshape(-1)
    order = torch.argsort(flat, stable=True)
    token = order // fan
    moved = 2 * hidden * (experts.shape[0] + pairs)

    def fresh():
        x = torch.randn(experts.shape[0], hidden, device="cuda", dtype=torch.bfloat16)
        return x, torch.empty(pairs, hidden, device="cuda", dtype=torch.bfloat16)

    inputs = sets(fresh, moved)

    def check(f):
        x, y = inputs[0]
        y.zero_()
        f(x, y)
        for row in torch.randint(pairs, (64,)).tolist():
            need(torch.equal(y[row], x[token[row].item()]), f"row {row}")
        for first in range(0, pairs, 1 << 15):
            some = slice(first, first + (1 << 15))
            need(torch.equal(y[some], x[token[some]]), f"rows from {first}")

    def timed(peer, f):
        check(f)
        say(work, peer, cuda_ms(torch, f, inputs), moved)

    gather = lambda x, y: torch.index_select(x, 0, token, out=y)
    attempt(work, "PyTorch gather", lambda: timed("PyTorch gather", gather))
    attempt(work, "PyTorch compiled gather", lambda: timed("PyTorch compiled gather", compiled(torch, token)))
    attempt(work, "PyTorch three passes", lambda: three(torch, v, flat, fan, pairs, order, timed))
    attempt(work, "Triton row permute", lambda: timed("Triton row permute", triton_rows(token, hidden)))


def compiled(torch, token):
    @torch.compile(dynamic=False)
    def gather(x, y):
        y.copy_(x[token])

    return gather


def three(torch, v, flat, fan, pairs, order, timed):
    """By expert within each source rank, a copy in place of the exchange, by expert over all sources."""
    source = torch.arange(pairs, device="cuda") // (pairs // v["G"])
    first = torch.argsort(source * v["E"] + flat, stable=True)
    where = torch.empty_like(first)
    where[first] = torch.arange(pairs, device="cuda")
    last, token = where[order], first // fan
    sent = torch.empty(pairs, v["H"], device="cuda", dtype=torch.bfloat16)
    got = torch.empty_like(sent)

    def f(x, y):
        torch.index_select(x, 0, token, out=sent)
        got.copy_(sent)
        torch.index_select(got, 0, last, out=y)

    timed("PyTorch three passes", f)


def triton_rows(token, hidden):
    import triton

    grid, block = (token.numel(),), min(triton.next_power_of_2(hidden), 8192)
    return lambda x, y: kernel()[grid](x, token, y, hidden, block, num_warps=8)


def kernel():
    """The Triton kernel, made when Triton is known to be there."""
    global permute_rows, tl
    if "permute_rows" not in globals():
        import triton
        import triton.language as tl

        @triton.jit
        def permute_rows(x, token, y, H: tl.constexpr, BLOCK: tl.constexpr):
            row = tl.program_id(0).to(tl.int64)
            source = tl.load(token + row).to(tl.int64)
            for first in range(0, H, BLOCK):
                at = first + tl.arange(0, BLOCK)
                value = tl.load(x + source * H + at, mask=at < H)
                tl.store(y + row * H + at, value, mask=at < H)

    return permute_rows


main()
