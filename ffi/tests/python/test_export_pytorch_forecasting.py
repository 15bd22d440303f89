"""The exporter writes what the fixtures record, and refuses what its form cannot say.

    python ffi/tests/python/test_export_pytorch_forecasting.py

Needs fixtures/make/requirements_pytorch_forecasting.txt; the tickfuse library itself is not loaded.
"""

import copy
import importlib.util
import tempfile
import unittest
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_forecasting.metrics import NormalDistributionLoss
from sklearn.preprocessing import MinMaxScaler, StandardScaler

ROOT = Path(__file__).resolve().parents[3]
NETS = ROOT / "fixtures" / "nets"
SPEC = importlib.util.spec_from_file_location("exporter", ROOT / "ffi/python/tickfuse/export_pytorch_forecasting.py")
exporter = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(exporter)


def setUpModule() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)


class Export(unittest.TestCase):
    def test_every_checkpoint_becomes_the_recorded_files(self) -> None:
        checkpoints = sorted(NETS.glob("pf_*/model.ckpt"))
        self.assertEqual(len(checkpoints), 4)
        for checkpoint in checkpoints:
            with self.subTest(checkpoint.parent.name), tempfile.TemporaryDirectory() as scratch:
                exporter.export(checkpoint, Path(scratch))
                for name in ("weights.safetensors", "model.json"):
                    self.assertEqual((Path(scratch) / name).read_bytes(), (checkpoint.parent / name).read_bytes())

    def test_rarer_objects_become_the_recorded_files(self) -> None:
        checkpoints = sorted(NETS.parent.glob("checkpoint/*.ckpt"))
        self.assertEqual(len(checkpoints), 2)
        for checkpoint in checkpoints:
            with self.subTest(checkpoint.stem), tempfile.TemporaryDirectory() as scratch:
                exporter.export(checkpoint, Path(scratch))
                for name, recorded in (("weights.safetensors", ".safetensors"), ("model.json", ".json")):
                    self.assertEqual((Path(scratch) / name).read_bytes(), checkpoint.with_suffix(recorded).read_bytes())

    def test_a_mean_that_is_fitted_but_not_subtracted_is_no_center(self) -> None:
        column = np.array([[1.0], [3.0]])
        scaler = StandardScaler(with_mean=False).fit(column)
        plain = exporter._scaler("ret", scaler)
        np.testing.assert_allclose((column - plain["center"]) / plain["scale"], scaler.transform(column))

    def test_a_checkpoint_from_before_the_attention_options_exports_as_causal(self) -> None:
        stored = _stored("pf_mixed")
        for name in exporter.OLDER_DEFAULTS:
            del stored["hyper_parameters"][name]
        self.assertEqual(exporter.describe(stored)[1]["net"]["rules"]["mask"], "causal_strict")


class Refusals(unittest.TestCase):
    def setUp(self) -> None:
        self.stored = _stored("pf_mixed")

    def refused(self, message: str) -> None:
        with self.assertRaisesRegex(exporter.Refused, message):
            exporter.describe(self.stored)

    def test_an_alias_with_other_values(self) -> None:
        name = "post_lstm_gate_decoder.fc.bias"
        self.stored["state_dict"][name] = self.stored["state_dict"][name] + 1.0
        self.refused(f"{name}: expected the values of post_lstm_gate_encoder.fc.bias")

    def test_a_missing_tensor(self) -> None:
        del self.stored["state_dict"]["pos_wise_ff.fc1.bias"]
        self.refused(r"tensor pos_wise_ff.fc1.bias: expected shape \(20,\), found none")

    def test_a_tensor_too_many(self) -> None:
        self.stored["state_dict"]["another.bias"] = torch.zeros(3)
        self.refused(r"tensor another.bias: expected shape none, found \(3,\)")

    def test_an_unknown_loss(self) -> None:
        self.stored["hyper_parameters"]["loss"] = NormalDistributionLoss()
        self.refused("loss: .* found NormalDistributionLoss")

    def test_a_transform_given_as_functions(self) -> None:
        self.stored["hyper_parameters"]["output_transformer"].transformation = {"forward": torch.log}
        self.refused("normaliser of volume: .* found functions")

    def test_a_scaler_that_is_not_center_and_scale(self) -> None:
        self.stored["dataset_parameters"]["scalers"]["ret"] = MinMaxScaler()
        self.refused("scaler of ret: .* found MinMaxScaler")

    def test_lagged_columns(self) -> None:
        self.stored["dataset_parameters"]["lags"] = {"ret": [1]}
        self.refused("lags: expected none")

    def test_a_model_without_its_dataset(self) -> None:
        self.stored["dataset_parameters"] = None
        self.refused("dataset_parameters: .* found none")


def _stored(net: str) -> dict[str, Any]:
    return copy.deepcopy(torch.load(NETS / net / "model.ckpt", map_location="cpu", weights_only=False))


if __name__ == "__main__":
    unittest.main()
