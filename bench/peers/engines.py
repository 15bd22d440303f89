"""PyTorch, ONNX Runtime, OpenVINO and tract behind one small interface, each with one thread, batch 1 and its cheapest call.

An engine is opened for one case. `answers(windows)` gives `[n, n_outputs]`; `call()` answers the window that `load`
put into the engine's own input memory, and is what gets timed.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

try:
    import openvino
except ImportError:
    openvino = None
try:
    import tract
except ImportError:
    tract = None


class Engine:
    """One net opened in one engine."""

    name: str
    precision: str
    load: Callable[[np.ndarray], None]
    call: Callable[[], object]
    output: Callable[[], np.ndarray]

    def answers(self, windows: np.ndarray) -> np.ndarray:
        """Answers of all windows, one by one, through the timed call."""
        rows = []
        for window in windows:
            self.load(window[None])
            self.call()
            rows.append(self.output().reshape(-1).astype(np.float64))
        return np.stack(rows)


class PyTorch(Engine):
    """Eager, inference mode."""

    name, precision = "PyTorch", "f32"

    def __init__(self, module: torch.nn.Module, _onnx_file: Path):
        self.module = module
        self.y = None

    def load(self, window: np.ndarray) -> None:
        self.x = torch.from_numpy(window.copy())

    def call(self) -> None:
        with torch.inference_mode():
            self.y = self.module(self.x)

    def output(self) -> np.ndarray:
        return self.y.numpy()


class PyTorchCompiled(PyTorch):
    """`torch.compile` with frozen weights; needs a C++ compiler."""

    name = "PyTorch compiled"

    def __init__(self, module: torch.nn.Module, onnx_file: Path):
        super().__init__(module, onnx_file)
        torch._dynamo.reset()
        torch._inductor.config.freezing = True
        self.module = torch.compile(module)


class OnnxRuntime(Engine):
    """CPU provider, all graph optimisations, input and output bound to fixed memory."""

    name, precision = "ONNX Runtime", "f32"

    def __init__(self, _module: torch.nn.Module, onnx_file: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
        self.y = onnxruntime.OrtValue.ortvalue_from_shape_and_type(self.session.get_outputs()[0].shape, np.float32)

    def load(self, window: np.ndarray) -> None:
        self.x = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(window))
        self.binding = self.session.io_binding()
        self.binding.bind_ortvalue_input("x", self.x)
        self.binding.bind_ortvalue_output("y", self.y)

    def call(self) -> None:
        self.session.run_with_iobinding(self.binding)

    def output(self) -> np.ndarray:
        return self.y.numpy()


class OpenVino(Engine):
    """CPU plugin, latency hint, one stream and one thread, input tensor in shared memory."""

    name, precision = "OpenVINO", "f32"

    def __init__(self, _module: torch.nn.Module, onnx_file: Path):
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": 1,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": self.precision,
        }
        self.model = openvino.Core().compile_model(onnx_file, "CPU", settings)
        self.request = self.model.create_infer_request()
        self.call = self.request.infer

    def load(self, window: np.ndarray) -> None:
        self.x = np.ascontiguousarray(window)
        self.request.set_input_tensor(0, openvino.Tensor(self.x, shared_memory=True))

    def output(self) -> np.ndarray:
        return self.request.get_output_tensor(0).data.copy()


class OpenVinoBf16(OpenVino):
    """The same with bf16 allowed inside; only where the plugin really takes it."""

    precision = "bf16"


class Tract(Engine):
    """Optimised for its default runtime; its Python call copies the window and the answer."""

    name, precision = "tract", "f32"

    def __init__(self, _module: torch.nn.Module, onnx_file: Path):
        self.runnable = tract.onnx().load(str(onnx_file)).into_model().into_runnable()

    def load(self, window: np.ndarray) -> None:
        self.x = tract.Tensor.from_numpy(np.ascontiguousarray(window))

    def call(self) -> None:
        self.y = self.runnable.run([self.x])

    def output(self) -> np.ndarray:
        return self.y[0].to_numpy()


def open_engines(module: torch.nn.Module, windows: np.ndarray, folder: Path, stem: str, compiled: bool) -> list[Engine]:
    """Every engine that is installed, opened on one net; `compiled`: PyTorch's compiler too."""
    onnx_file = export_onnx(module, windows[:1], folder / f"{stem}.onnx")
    kinds = [PyTorch, PyTorchCompiled, OnnxRuntime] if compiled else [PyTorch, OnnxRuntime]
    if tract is not None:
        kinds.append(Tract)
    if openvino is not None:
        kinds.append(OpenVino)
        if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            kinds.append(OpenVinoBf16)
    return [kind(module, onnx_file) for kind in kinds]


def export_onnx(module: torch.nn.Module, window: np.ndarray, path: Path) -> Path:
    """Writes the net for batch 1 with the exporter that needs no further package, and has it checked."""
    with warnings.catch_warnings():
        # The exporter warns that it is the older one, and that an LSTM's batch size is fixed: both are meant.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.from_numpy(window),),
            str(path),
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            opset_version=17,
        )
    onnx.checker.check_model(str(path), full_check=True)
    return path
