"""An MLflow flavour: models saved, logged, registered and loaded with their schema and hash (extra `mlflow`).

    import mlflow, tickfuse.mlflow

    tickfuse.mlflow.log_model("models/minute-up5/best", name="minute-up5")     # inside a run; a path, a Model or its bytes
    model = tickfuse.mlflow.load_model("models:/minute-up5/3")                 # a tickfuse.Model
    answers = mlflow.pyfunc.load_model("models:/minute-up5/3").predict(frame)  # every window of a frame

The generic form (`pyfunc`) takes a series: a frame whose rows lie an equal time apart, oldest first, with the model's columns.
Row i of its answer is for the window that begins with row i, so a frame of n rows has `n - n_rows + 1` answers, indexed by
the index of the last past row of each window. Signature and input example are made of what the model says about itself; the
file `MLmodel` carries its hash, and a file with another hash is not loaded.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mlflow.artifacts
import numpy as np
import pandas as pd
import yaml
from mlflow import pyfunc
from mlflow.models import Model as MlflowModel
from mlflow.models import ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME, ModelInfo
from mlflow.models.utils import _save_example
from mlflow.types import ColSpec, Schema

from tickfuse.errors import BundleError, OptionError
from tickfuse.model import FILE_NAME, Model
from tickfuse.schema import Input

FLAVOR_NAME = "tickfuse"
REQUIREMENTS, CONDA, PYTHON = "requirements.txt", "conda.yaml", "python_env.yaml"

Source = Model | bytes | str | os.PathLike[str]
"""A model opened from a file, a file or a version's folder, or the bytes of a file."""


def save_model(
    model: Source,
    path: str | os.PathLike[str],
    mlflow_model: MlflowModel | None = None,
    signature: ModelSignature | None = None,
    input_example: Any = None,
    pip_requirements: Sequence[str] | None = None,
    extra_pip_requirements: Sequence[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> None:
    """Writes an MLflow model into the new folder `path`.

    `signature` and `input_example` are the model's own unless given; `pip_requirements` replaces the default ones.
    """
    folder, about = Path(path), mlflow_model or MlflowModel()
    if folder.exists() and any(folder.iterdir()):
        raise OptionError(f"path: expected a new or empty folder, found {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE_NAME
    opened = _copied(model, file)
    about.signature = signature or model_signature(opened)
    if metadata is not None:
        about.metadata = metadata
    _save_example(about, model_example(opened) if input_example is None else input_example, str(folder))
    about.add_flavor(FLAVOR_NAME, data=FILE_NAME, model_hash=opened.hash, model_name=opened.name)
    pyfunc.add_to_model(about, loader_module=__name__, data=FILE_NAME, conda_env=CONDA, python_env=PYTHON)
    about.model_size_bytes = file.stat().st_size
    about.save(str(folder / MLMODEL_FILE_NAME))
    _write_environment(folder, [*(pip_requirements or default_pip_requirements()), *(extra_pip_requirements or [])])


def log_model(model: Source, name: str = "model", registered_model_name: str | None = None, **options: Any) -> ModelInfo:
    """Logs the model to the active run, and registers it under a name where one is given; `options` are `save_model`'s."""
    info: ModelInfo = MlflowModel.log(
        artifact_path=None,
        name=name,
        flavor=sys.modules[__name__],
        registered_model_name=registered_model_name,
        model=model,
        **options,
    )
    return info


def load_model(model_uri: str, dst_path: str | None = None, **options: Any) -> Model:
    """Opens the model of a URI; `options` are those of `tickfuse.Model`.

    `BundleError` for a file that is not the one that was saved.
    """
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=str(model_uri), dst_path=dst_path))
    return _open(folder / FILE_NAME, **options)


def default_pip_requirements() -> list[str]:
    """What loading the model takes."""
    try:
        own = f"tickfuse=={version('tickfuse')}"
    except PackageNotFoundError:
        own = "tickfuse"
    return [own, f"mlflow-skinny=={mlflow.__version__}", "pandas"]


def model_signature(model: Model) -> ModelSignature:
    """Columns of a row and of an answer; a column of categories takes their names."""
    inputs = [ColSpec("double" if i.categories is None else "string", i.name) for i in model.inputs]
    outputs = [ColSpec("float", name) for name in model.schema.output_names]
    return ModelSignature(inputs=Schema(list(inputs)), outputs=Schema(list(outputs)))


def model_example(model: Model) -> pd.DataFrame:
    """One window of the centres of the inputs, and of the first name of each category."""
    return pd.DataFrame({i.name: [_usual(i)] * model.n_rows for i in model.inputs})


class SeriesModel:
    """What MLflow's generic form calls."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answers every window of a frame."""
        answers = self.model.session().predict_series(model_input)
        if answers.index is None and isinstance(model_input, pd.DataFrame):
            first = self.model.lookback - 1
            answers.index = model_input.index[first : first + len(answers)]
        return answers.to_pandas()

    def get_raw_model(self) -> Model:
        """The model itself, which MLflow's `get_raw_model` returns."""
        return self.model


def _load_pyfunc(path: str) -> SeriesModel:
    """What MLflow calls with the model file."""
    return SeriesModel(_open(Path(path)))


def _copied(model: Source, file: Path) -> Model:
    if isinstance(model, bytes):
        file.write_bytes(model)
        return Model(file)
    source = (model if isinstance(model, Model) else Model(model)).path
    if source is None:
        raise OptionError("model: expected one opened from a file, found one opened from memory; give its bytes")
    shutil.copyfile(source, file)
    copy = Model(file)
    if isinstance(model, Model) and copy.hash != model.hash:
        raise BundleError(f"{source}: expected the model with hash {model.hash}, found {copy.hash}")
    return copy


def _open(file: Path, **options: Any) -> Model:
    flavors = MlflowModel.load(str(file.parent)).flavors
    if FLAVOR_NAME not in flavors:
        raise BundleError(f"{file.parent}: expected the flavour {FLAVOR_NAME}, found {', '.join(flavors) or 'none'}")
    model, expected = Model(file, **options), flavors[FLAVOR_NAME]["model_hash"]
    if model.hash != expected:
        raise BundleError(f"{file}: expected the model with hash {expected}, found {model.hash}")
    return model


def _usual(spec: Input) -> float | str:
    if spec.categories is not None:
        return spec.categories[0]
    return 0.0 if spec.scaler is None else float(np.float64(spec.scaler.center))


def _write_environment(folder: Path, requirements: list[str]) -> None:
    python = ".".join(str(n) for n in sys.version_info[:3])
    (folder / REQUIREMENTS).write_text("".join(f"{line}\n" for line in requirements))
    of_pip = {"python": python, "build_dependencies": ["pip"], "dependencies": [f"-r {REQUIREMENTS}"]}
    (folder / PYTHON).write_text(yaml.safe_dump(of_pip, sort_keys=False))
    dependencies = [f"python={python}", "pip", {"pip": requirements}]
    of_conda = {"name": "mlflow-env", "channels": ["conda-forge"], "dependencies": dependencies}
    (folder / CONDA).write_text(yaml.safe_dump(of_conda, sort_keys=False))
