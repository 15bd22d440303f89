"""Time and memory of one training step of a 2-layer LSTM in PyTorch: forward, BCE, backward, clip, AdamW.

    python3 bench/peers/train_step.py [hidden] [lookback] [batch] [steps] [f32|bf16] [--threads N]

The same work: cargo run --release -p tickfuse-train --example train_step -- <same arguments>.

Run it twice: as installed, and with MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296
MALLOC_TOP_PAD_=268435456 in the environment. glibc gives large tensors back to the kernel after every step; keeping
them can halve PyTorch's time, so a comparison states both. Pin both programs to the same core (taskset -c 0).
"""

import argparse
import contextlib
import os
import resource
import statistics
import time

parser = argparse.ArgumentParser()
for name, default in [("hidden", 128), ("lookback", 64), ("batch", 64), ("steps", 60)]:
    parser.add_argument(name, nargs="?", type=int, default=default)
parser.add_argument("precision", nargs="?", choices=["f32", "bf16"], default="f32")
parser.add_argument("--threads", type=int, default=1)
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)

import torch  # noqa: E402  (reads the thread count when imported)

torch.set_num_threads(args.threads)
torch.manual_seed(42)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(5, args.hidden, 2, batch_first=False)
        self.head = torch.nn.Linear(args.hidden, 1)

    def forward(self, x):
        return self.head(self.lstm(x)[0][-1])


def autocast():
    if args.precision == "bf16":
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return contextlib.nullcontext()


net = Net()
optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
count = args.lookback * args.batch * 5
x = torch.sin(torch.arange(count) * 0.37).reshape(args.lookback, args.batch, 5).float()
y = (torch.arange(args.batch) % 3 == 0).float()[:, None]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
times = []
for step in range(args.steps + 10):
    start = time.perf_counter()
    optimiser.zero_grad(set_to_none=True)
    with autocast():
        logits = net(x)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), y)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    if step >= 10:
        times.append((time.perf_counter() - start) * 1e3)
times.sort()
median = statistics.median(times)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tuned = "tuned" if "MALLOC_MMAP_THRESHOLD_" in os.environ else "as installed"
print(
    f"torch {torch.__version__} {args.precision} H{args.hidden} T{args.lookback} B{args.batch}, allocator {tuned}: "
    f"median {median:.2f} ms/step, best {times[0]:.2f}, p90 {times[int(len(times) * 0.9)]:.2f}; "
    f"{median / args.batch:.3f} s per 1,000 windows; peak RSS {peak} kB, {before} kB before the first step"
)
