"""Counts of the experts and the stable order of the pairs: a sort (CUB's, through PyTorch) and a histogram."""

from common import *


def main():
    work, v = arguments()
    torch = torch_on_gpu(work)
    if not torch:
        return
    experts, _ = routing(torch, v)
    flat, pairs = experts.reshape(-1), experts.numel()
    inputs = sets(lambda: (flat.clone(),), 8 * pairs)

    def sort(e):
        return torch.argsort(e, stable=True), torch.bincount(e, minlength=v["E"])

    def narrow(e):
        return torch.sort(e.int(), stable=True)[1], torch.histc(e.float(), v["E"], 0, v["E"] - 1)

    def check(f):
        order, counts = f(flat)
        keys = flat[order] * pairs + order
        need(bool((keys[1:] > keys[:-1]).all()), "the order is not stable")
        for e in range(v["E"]):
            need(int(counts[e]) == int((flat == e).sum()), f"count of {e}")

    def timed(peer, f):
        check(f)
        say(work, peer, cuda_ms(torch, f, inputs), 8 * pairs)

    attempt(work, "PyTorch sort", lambda: timed("PyTorch sort", sort))
    attempt(work, "PyTorch sort of i32", lambda: timed("PyTorch sort of i32", narrow))


main()
