//! A batch as the library's data loader hands it to a network: columns scaled and encoded, rows padded on the right.

use super::Layout;
use crate::arrays::{Archive, Array, ArrayError};

/// The arrays of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[n, encoder steps, reals]` and `[n, decoder steps, reals]`.
    pub reals: [Array; 2],
    /// `[n, encoder steps, categoricals]` and `[n, decoder steps, categoricals]`.
    pub codes: [Array; 2],
    /// Encoder and decoder steps of each window.
    pub lengths: [Array; 2],
    /// `[n, 2]` centre and scale, per target.
    pub scales: Vec<(String, Array)>,
}

impl Batch {
    /// Whether an archive is a batch.
    #[must_use]
    pub fn is_in(archive: &Archive) -> bool {
        archive.names().any(|name| name == "encoder_cont")
    }

    /// The arrays of an archive; those that no network reads are left alone.
    ///
    /// # Errors
    /// [`ArrayError`] where one is missing.
    pub fn read(archive: &mut Archive, layout: &Layout) -> Result<Self, ArrayError> {
        let mut two = |suffix: &str| -> Result<[Array; 2], ArrayError> {
            let [encoder, decoder] =
                ["encoder", "decoder"].map(|part| archive.get(&format!("{part}_{suffix}")));
            Ok([encoder?, decoder?])
        };
        let (reals, codes, lengths) = (two("cont")?, two("cat")?, two("lengths")?);
        let scale = |(i, _): (usize, &String)| {
            let name = match layout.targets.len() {
                1 => "target_scale".to_owned(),
                _ => format!("target_scale.{i}"),
            };
            let array = archive.get(&name)?;
            Ok((name, array))
        };
        Ok(Self {
            reals,
            codes,
            lengths,
            scales: layout
                .targets
                .iter()
                .enumerate()
                .map(scale)
                .collect::<Result<_, _>>()?,
        })
    }
}
