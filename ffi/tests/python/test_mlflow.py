"""The MLflow flavour with the real MLflow and a store in a folder of its own."""

import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import tickfuse.mlflow as flavour
import yaml
from conftest import Case
from mlflow.exceptions import MlflowException
from tickfuse import BundleError, Model, OptionError, ShapeError


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh store of runs and models."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    mlflow.set_registry_uri((tmp_path / "store").as_uri())
    mlflow.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("test")
    return tmp_path


def frame(case: Case, n: int = 6) -> pd.DataFrame:
    """Rows of several windows, indexed by days."""
    model, rows = Model(case.path), np.concatenate(case.windows[:n]).astype(np.float64)
    columns = {i.name: rows[:, k] for k, i in enumerate(model.inputs)}
    for i in model.inputs:
        if i.categories is not None:
            columns[i.name] = np.array(i.categories, object)[columns[i.name].astype(int)]
    return pd.DataFrame(columns, index=pd.date_range("2024-01-01", periods=len(rows), tz="UTC"))


def test_the_generic_form_answers_bit_for_bit_what_a_session_answers(case: Case, tmp_path: Path) -> None:
    flavour.save_model(case.path, tmp_path / "saved")
    model, series = Model(case.path), frame(case)
    ours = model.session().predict_series(series)
    theirs = mlflow.pyfunc.load_model(str(tmp_path / "saved")).predict(series)
    np.testing.assert_array_equal(theirs.to_numpy().view(np.uint32), ours.values.view(np.uint32))
    assert list(theirs.columns) == list(model.schema.output_names)
    first = model.lookback - 1
    assert list(theirs.index) == list(series.index[first : first + len(ours)])


def test_the_description_is_the_models_own(case: Case, tmp_path: Path) -> None:
    flavour.save_model(Model(case.path), tmp_path / "saved")
    model, about = Model(case.path), yaml.safe_load((tmp_path / "saved" / "MLmodel").read_text())
    assert about["flavors"]["tickfuse"]["model_hash"] == model.hash
    assert about["flavors"]["python_function"]["loader_module"] == "tickfuse.mlflow"
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    signature = loaded.metadata.signature
    assert signature.inputs.input_names() == [i.name for i in model.inputs]
    assert signature.outputs.input_names() == list(model.schema.output_names)
    example = loaded.input_example
    assert len(example) == model.n_rows and len(loaded.predict(example)) == 1
    assert loaded.get_raw_model().hash == model.hash
    assert (tmp_path / "saved" / "requirements.txt").read_text().startswith("tickfuse")


def test_a_model_is_logged_registered_and_loaded_by_its_version(lstm: Case, store: Path) -> None:
    with mlflow.start_run():
        info = flavour.log_model(lstm.path, name="made", registered_model_name="lstm", metadata={"who": "a test"})
    for uri in (info.model_uri, "models:/lstm/1"):
        model = flavour.load_model(uri, level="portable")
        assert model.hash == Model(lstm.path).hash and model.level == "portable"
    assert mlflow.models.get_model_info("models:/lstm/1").metadata == {"who": "a test"}
    series = frame(lstm)
    ours = Model(lstm.path).session().predict_series(series)
    np.testing.assert_array_equal(mlflow.pyfunc.load_model("models:/lstm/1").predict(series), ours.values)


def test_bytes_are_saved_and_a_model_without_a_file_is_refused(lstm: Case, tmp_path: Path) -> None:
    flavour.save_model(lstm.path.read_bytes(), tmp_path / "saved")
    assert flavour.load_model(str(tmp_path / "saved")).hash == Model(lstm.path).hash
    with pytest.raises(OptionError, match="opened from memory; give its bytes"):
        flavour.save_model(Model.from_bytes(lstm.path.read_bytes()), tmp_path / "other")
    with pytest.raises(OptionError, match="expected a new or empty folder"):
        flavour.save_model(lstm.path, tmp_path / "saved")


def test_another_file_than_the_saved_one_is_not_loaded(lstm: Case, cases: dict[str, Case], tmp_path: Path) -> None:
    flavour.save_model(lstm.path, tmp_path / "saved")
    shutil.copyfile(cases["lstm_bf16"].path, tmp_path / "saved" / "model.safetensors")
    for load in (flavour.load_model, mlflow.pyfunc.load_model):
        with pytest.raises(BundleError, match="expected the model with hash"):
            load(str(tmp_path / "saved"))


def test_what_the_signature_or_the_model_refuses_is_said(lstm: Case, tmp_path: Path) -> None:
    flavour.save_model(lstm.path, tmp_path / "saved")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    with pytest.raises(MlflowException, match="x1"):
        loaded.predict(frame(lstm).drop(columns="x1"))
    with pytest.raises(ShapeError, match="series: expected at least 7 rows, found 3"):
        loaded.predict(frame(lstm).head(3))


def test_requirements_are_the_callers_where_given(lstm: Case, tmp_path: Path) -> None:
    flavour.save_model(lstm.path, tmp_path / "saved", pip_requirements=["own"], extra_pip_requirements=["more==1"])
    assert (tmp_path / "saved" / "requirements.txt").read_text() == "own\nmore==1\n"
    environment = yaml.safe_load((tmp_path / "saved" / "conda.yaml").read_text())
    assert environment["dependencies"][-1] == {"pip": ["own", "more==1"]}
