//! What a net attended to and which variables it selected: read from the buffers of the last run, never computed again.

use crate::simd::{LANES, Lane};
use alloc::vec::Vec;

/// One array of weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Interpretation {
    /// What they are, such as `encoder_weights`.
    pub name: &'static str,
    /// Dimensions: variable selection `[steps, variables]` in the order of the schema's variables, attention
    /// `[queries, heads, rows]` with weights that add up to one over the rows.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

impl Interpretation {
    /// Rows of whole lanes, of which `width` columns count.
    pub(crate) fn of_lanes(name: &'static str, lanes: &[Lane], n_rows: usize, width: usize) -> Self {
        let stride = width.div_ceil(LANES);
        let rows = lanes[..n_rows * stride].chunks_exact(stride.max(1));
        let row = |row: &[Lane]| bytemuck::cast_slice::<Lane, f32>(row)[..width].to_vec();
        Self {
            name,
            shape: [n_rows, width].to_vec(),
            values: rows.flat_map(row).collect(),
        }
    }

    /// Attention weights as they lie.
    pub(crate) fn of_attention(
        name: &'static str,
        weights: &[f32],
        [queries, heads, rows]: [usize; 3],
    ) -> Self {
        Self {
            name,
            shape: [queries, heads, rows].to_vec(),
            values: weights[..queries * heads * rows].to_vec(),
        }
    }
}
