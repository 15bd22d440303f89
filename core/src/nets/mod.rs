//! Network families: which layers, in which order, on which data. Nothing numeric.

mod lstm;

use crate::bundle::{self, Schema, Tensor};
use crate::error::WriteError;
use crate::plain::PlainTensors;
use alloc::vec::Vec;

pub(crate) use lstm::{LstmNet, LstmWork};
pub use lstm::{PackedTensor, n_parameters, pack, tensor_shapes, unpack};

/// The bytes of a model file from a schema, plain tensors, golden windows `input [n, lookback, n_features]` (raw) and
/// their outputs `output [n, n_outputs]`.
///
/// # Errors
/// [`WriteError`] where tensors, goldens and schema disagree.
pub fn write_model(
    schema: &Schema,
    plain: &PlainTensors,
    input: &[f32],
    output: &[f32],
) -> Result<Vec<u8>, WriteError> {
    let packed = pack(schema, plain)?;
    let (window, n) = (
        [schema.lookback(), schema.n_features()],
        output.len() / schema.n_outputs().max(1),
    );
    let (input_shape, output_shape) = ([n, window[0], window[1]], [n, schema.n_outputs()]);
    let golden = [
        Tensor::new("golden.input", &input_shape, input),
        Tensor::new("golden.output", &output_shape, output),
    ];
    let tensors: Vec<Tensor<'_>> = packed.iter().map(PackedTensor::as_tensor).chain(golden).collect();
    bundle::write(schema, &tensors)
}
