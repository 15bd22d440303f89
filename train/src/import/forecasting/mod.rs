//! Temporal Fusion Transformers of pytorch-forecasting: an export folder, or the same description and tensors from elsewhere.
//!
//! `python -m tickfuse.export_pytorch_forecasting` writes `model.json` and `weights.safetensors`. Everything the library does around
//! its network becomes part of the model: column order, scalers, normalisers with their transforms, the columns it adds, the codes
//! of categories, and how an answer returns to the target's unit. What cannot be taken over exactly is refused.

mod agreement;
mod batch;
mod description;
mod error;
mod labels;
mod layout;
mod normalizers;
mod outputs;
mod schema;
mod tensors;

pub use batch::Batch;
pub use description::{
    CenterScale, CheckpointFacts, Class, Classes, Description, Encoder, EncoderNormalizer, GroupNormalizer,
    GroupTable, HyperParameters, Loss, Method, OneOrMany, Preprocessing, Scaling, TableRow, TorchNormalizer,
};
pub use error::ForecastingError;
pub use labels::text as label_text;
pub use layout::Layout;

use std::path::Path;
use tickfuse_core::bundle::{Precision, Schema};
use tickfuse_core::plain::PlainTensors;

/// What an import does not find in the description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportOptions {
    /// Model name.
    pub name: String,
    /// Type of the weights in the model file.
    pub precision: Precision,
}

/// A model ready to be assembled.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// What goes in, what the network is, what comes out.
    pub schema: Schema,
    /// Tensors under the core's names, which are the library's without aliases.
    pub tensors: PlainTensors,
}

/// Reads an export folder.
///
/// # Errors
/// [`ForecastingError`].
pub fn read(folder: &Path, options: &ImportOptions) -> Result<Imported, ForecastingError> {
    let path = folder.join("model.json");
    let text = std::fs::read_to_string(&path).map_err(|source| ForecastingError::Read { path, source })?;
    let description = serde_json::from_str(&text)?;
    import(
        &description,
        tensors::read(&folder.join("weights.safetensors"))?,
        options,
    )
}

/// Makes a schema of a description, and holds the tensors against it: each of them has its place.
///
/// # Errors
/// [`ForecastingError`].
pub fn import(
    description: &Description,
    tensors: PlainTensors,
    options: &ImportOptions,
) -> Result<Imported, ForecastingError> {
    let schema = schema::schema(description, options)?;
    tensors::check(&schema, &tensors)?;
    Ok(Imported { schema, tensors })
}
