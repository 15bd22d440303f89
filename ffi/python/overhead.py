"""What calling from Python costs: the bound calls beside the same calls from C, and the import; what sliding over a series and
a second thread save.

    python ffi/python/overhead.py model.safetensors

Needs a C compiler; the package finds its library as always. Times are the processor's, the least of many repetitions with
both languages in turn, and the two must give the same answer.
"""

import argparse
import ctypes
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tickfuse import Model, _library

N_CALLS, N_ROUNDS, N_IMPORTS, N_WINDOWS = 300, 41, 7, 1000
N_SHORT, N_MEETINGS = 64, 500

SOURCE = """
#include <stddef.h>
#include <stdint.h>
#include <time.h>
typedef int32_t call(void *, const float *, size_t, float *, size_t, void *);
double repeat(call *f, void *h, const float *in, size_t n_in, float *out, size_t n_out, void *about, int n) {
    struct timespec a, b;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    for (int i = 0; i < n; i++)
        if (f(h, in, n_in, out, n_out, about)) return -1;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    return ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / n;
}
"""


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model file that can be streamed")
    model = Model(parser.parse_args().model)
    print(f"{model!r}, Python {sys.version.split()[0]}, numpy {np.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        repeat = _compiled(Path(folder))
        window, stream = _window(model), _warm(model)
        bound = model.session(1).bind(window)
        _report("session.bind", bound, bound.out, repeat, ("session_run", *bound.kept, window))
        push = stream.bind(window[-1])
        _report("stream.bind", push, push.out, repeat, ("stream_push", push.kept, push.step, window[-1]))
    _report_series(model)
    _report_threads(model)
    print(f"import tickfuse beyond numpy: {_import_ms('tickfuse') - _import_ms('numpy'):.1f} ms")


def _report(name: str, call: Callable[[], object], out: np.ndarray, repeat: object, parts: tuple) -> None:
    function, handle, about, values = parts
    from_c = np.empty_like(out)
    address = ctypes.cast(getattr(_library.library(), function), ctypes.c_void_p)
    sizes = values.ctypes.data, values.size, from_c.ctypes.data, from_c.size
    in_python, in_c = [], []
    for _ in range(N_ROUNDS):
        in_python.append(_repeat(call))
        in_c.append(repeat(address, handle.pointer, *sizes, ctypes.addressof(about), N_CALLS))
    assert (out == from_c).all() and min(in_c) > 0
    python, c = min(in_python), min(in_c)
    print(f"{name}: {python:.0f} ns from Python, {c:.0f} ns from C, difference {python - c:.0f} ns per call")


def _report_series(model: Model) -> None:
    """Every window of a series that is random about the scalers' centres."""
    scale = np.array([i.scaler.scale if i.scaler and i.categories is None else 0.0 for i in model.inputs])
    noise = np.random.default_rng(1).normal(size=(N_WINDOWS + model.n_rows - 1, model.n_features))
    series, session = _window(model)[0] + noise * scale, model.session()
    windows = np.lib.stride_tricks.sliding_window_view(series, model.n_rows, axis=0).swapaxes(1, 2)
    slide = min(_time(lambda: session.predict_series(series), time.thread_time) for _ in range(N_ROUNDS)) / N_WINDOWS
    batch = min(_time(lambda: session.predict_batch(windows), time.thread_time) for _ in range(N_ROUNDS)) / N_WINDOWS
    assert (session.predict_series(series).values == session.predict_batch(windows).values).all()
    print(f"predict_series: {slide * 1e6:.2f} us a window, as views in a batch {batch * 1e6:.2f}: {batch / slide:.1f}x")


def _report_threads(model: Model) -> None:
    """A short batch in one thread and in two at once, by the clock; the least of many rounds, for others use the machine."""
    windows = np.repeat(_window(model)[None], N_SHORT, axis=0)
    sessions, meet, alone, both = [model.session(), model.session()], threading.Barrier(2), [], []

    def second() -> None:
        for _ in range(N_MEETINGS):
            meet.wait()
            sessions[1].predict_batch(windows)
            meet.wait()

    thread = threading.Thread(target=second)
    thread.start()
    for _ in range(N_MEETINGS):
        alone.append(_time(lambda: sessions[0].predict_batch(windows), time.perf_counter))
        meet.wait()
        both.append(_time(lambda: (sessions[0].predict_batch(windows), meet.wait()), time.perf_counter))
    thread.join()
    print(f"two threads at once: {2 * min(alone) / min(both):.2f} times the answers of one")


def _time(call: Callable[[], object], clock: Callable[[], float]) -> float:
    begin = clock()
    call()
    return clock() - begin


def _repeat(call: Callable[[], object]) -> float:
    begin = time.thread_time_ns()
    for _ in range(N_CALLS):
        call()
    return (time.thread_time_ns() - begin) / N_CALLS


def _compiled(folder: Path) -> object:
    (folder / "repeat.c").write_text(SOURCE)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", folder / "repeat.c", "-o", folder / "repeat.so"], check=True)
    repeat = ctypes.CDLL(str(folder / "repeat.so")).repeat
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    repeat.restype, repeat.argtypes = ctypes.c_double, [pointer, pointer, pointer, size, pointer, size, pointer, ctypes.c_int]
    return repeat


def _window(model: Model) -> np.ndarray:
    """Every input at its scaler's centre, categories at the first."""
    row = [i.scaler.center if i.scaler else 0.0 for i in model.inputs]
    return np.tile(np.array(row, np.float32), (model.n_rows, 1))


def _warm(model: Model) -> object:
    stream = model.stream()
    for row in _window(model):
        stream.push(row)
    return stream


def _import_ms(module: str) -> float:
    """Processor time of a fresh interpreter that imports it."""
    times = []
    for _ in range(N_IMPORTS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3)
    return min(times)


if __name__ == "__main__":
    main()
