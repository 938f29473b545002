"""The weighted sum of each token's expert rows: gather, multiply, add in f32, round."""

from common import *


def main():
    work, v = arguments()
    torch = torch_on_gpu(work)
    if not torch:
        return
    experts, weights = routing(torch, v)
    tokens, fan = experts.shape
    pairs, hidden = tokens * fan, v["H"]
    order = torch.argsort(experts.reshape(-1), stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(pairs, device="cuda")
    place = place.view(tokens, fan)
    moved = 2 * hidden * (tokens + pairs) + 4 * pairs
    inputs = sets(lambda: (torch.randn(pairs, hidden, device="cuda", dtype=torch.bfloat16),), moved)

    def eager(z):
        return (z[place].float() * weights[..., None]).sum(1).bfloat16()

    def check(f):
        z = inputs[0][0]
        out = f(z)
        for t in torch.randint(tokens, (64,)).tolist():
            rows = [z[place[t, k].item()].double() * weights[t, k].item() for k in range(fan)]
            need(torch.allclose(out[t].double(), sum(rows), atol=2e-2, rtol=1e-2), f"token {t}")

    def timed(peer, f):
        check(f)
        say(work, peer, cuda_ms(torch, f, inputs), moved)

    attempt(work, "PyTorch", lambda: timed("PyTorch", eager))
    attempt(work, "PyTorch compiled", lambda: timed("PyTorch compiled", torch.compile(eager, dynamic=False)))


main()
