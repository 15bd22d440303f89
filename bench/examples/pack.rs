//! A model file of any family from plain tensors: `pack <net.json> <weights.safetensors> <out> [f32|bf16]`.
//!
//! `net.json` holds `name`, `net`, `inputs` and `outputs` as a schema has them; the tensors carry the plain names of
//! `tickfuse_core::nets::tensor_shapes`. What the peer comparison needs of an import, for families that have no other yet.

use anyhow::{Context, bail};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;
use std::env::args;
use std::fs;
use tickfuse_core::bundle::{Arrival, FORMAT, Input, Net, Output, Precision, Schema};
use tickfuse_core::plain::{PlainTensor, PlainTensors};
use tickfuse_train::assemble::assemble;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    name: String,
    net: Net,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = args().skip(1).collect();
    let [net, weights, out, precision] = words.as_slice() else {
        bail!("expected <net.json> <weights.safetensors> <out> <f32|bf16>, found {words:?}");
    };
    let precision = match precision.as_str() {
        "f32" => Precision::F32,
        "bf16" => Precision::Bf16,
        other => bail!("precision: expected f32 or bf16, found {other}"),
    };
    let text = fs::read_to_string(net).with_context(|| net.clone())?;
    let description: Description = serde_json::from_str(&text).with_context(|| net.clone())?;
    let bytes = fs::read(weights).with_context(|| weights.clone())?;
    let file = SafeTensors::deserialize(&bytes).with_context(|| weights.clone())?;
    let tensors = tensors(&file).with_context(|| weights.clone())?;
    let model = assemble(&schema(description, precision), &tensors)?;
    fs::write(out, model).with_context(|| out.clone())
}

fn schema(description: Description, precision: Precision) -> Schema {
    Schema {
        format: FORMAT,
        name: description.name,
        net: description.net,
        precision,
        inputs: description.inputs,
        bar_interval_ns: None,
        outputs: description.outputs,
        target: None,
        arrival: Arrival::WholeWindow,
        normalizers: Vec::new(),
        golden_tolerance: 0.0,
        provenance: serde_json::Map::new(),
    }
}

fn tensors(file: &SafeTensors<'_>) -> anyhow::Result<PlainTensors> {
    let one = |(name, view): (String, TensorView<'_>)| match view.dtype() {
        Dtype::F32 => Ok((name, plain(&view))),
        found => bail!("tensor `{name}`: expected F32, found {found:?}"),
    };
    file.tensors().into_iter().map(one).collect()
}

fn plain(view: &TensorView<'_>) -> PlainTensor {
    let values = view.data().as_chunks().0.iter();
    PlainTensor {
        shape: view.shape().to_vec(),
        data: values.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    }
}
