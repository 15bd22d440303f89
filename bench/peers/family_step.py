"""Time and memory of one training step of each Transformer family in PyTorch: forward, a linear loss, backward, clip, AdamW.

    python3 bench/peers/family_step.py [tft|quantile_tft|xtrend] [hidden] [batch] [steps] [--threads N]

The same work: cargo run --release -p tickfuse-train --example family_step -- <same arguments>. The modules are those that made
the fixtures (fixtures/make). Run it twice, as installed and with the allocator kept from giving memory back; see train_step.py.
"""

import argparse
import os
import resource
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("family", nargs="?", choices=["tft", "quantile_tft", "xtrend"], default="tft")
for name, default in [("hidden", 64), ("batch", 32), ("steps", 20)]:
    parser.add_argument(name, nargs="?", type=int, default=default)
parser.add_argument("--threads", type=int, default=1)
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)
sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures" / "make"))

import torch  # noqa: E402  (reads the thread count when imported)
from blocks import GOOGLE, Variable  # noqa: E402
from nets_quantile_tft import QuantileTft, QuantileTftSpec  # noqa: E402
from nets_tft_google import TftNet, TftSpec  # noqa: E402
from nets_xtrend import XtrendSpec  # noqa: E402
from nets_xtrend_shared import SharedXtrendNet  # noqa: E402

torch.set_num_threads(args.threads)
torch.manual_seed(42)


def wave(*shape: int) -> torch.Tensor:
    n = int(torch.tensor(shape).prod())
    return torch.sin(torch.arange(n) * 0.37).reshape(shape).float()


def case():
    hidden, batch = args.hidden, args.batch
    if args.family == "tft":
        reals = [Variable(f"x{i}", hidden) for i in range(14)]
        spec = TftSpec("step", 60, 0, hidden, 4, 1, 3, [], reals, [], [v.name for v in reals], GOOGLE)
        return TftNet(spec), [wave(batch, 60, 14)]
    if args.family == "quantile_tft":
        return QuantileTft(QuantileTftSpec("step", 60, 14, hidden, 8, 3)), [wave(batch, 60, 14)]
    sizes = dict(lookback=42, context_lookback=42, n_contexts=16, n_heads=4, n_layers=2, n_entities=4, n_features=24)
    spec = replace(XtrendSpec("step", "gaussian", form="shared"), n_hidden=hidden, **sizes)
    x = torch.cat([wave(batch, 42, 24), torch.ones(batch, 42, 1)], dim=-1)
    return SharedXtrendNet(spec), [x, wave(batch, 16, 42, 24), torch.ones(batch, 16, dtype=torch.long)]


net, inputs = case()
optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
times = []
for step in range(args.steps + 3):
    start = time.perf_counter()
    optimiser.zero_grad(set_to_none=True)
    out = net(*inputs)
    (out * wave(*out.shape)).sum().backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    if step >= 3:
        times.append((time.perf_counter() - start) * 1e3)
times.sort()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(p.numel() for p in net.parameters())
tuned = "tuned" if "MALLOC_MMAP_THRESHOLD_" in os.environ else "as installed"
print(
    f"torch {torch.__version__} {args.family} H{args.hidden} B{args.batch}, {count} parameters, allocator {tuned}: "
    f"median {statistics.median(times):.2f} ms/step, best {times[0]:.2f}, p90 {times[int(len(times) * 0.9)]:.2f}; "
    f"peak RSS {peak} kB, {before} kB before the first step"
)
