//! Opening a model file: every rule of `core/docs/format.md` that needs no knowledge of the net.

use super::dtype::{Dtype, Element, first_non_finite};
use super::header::{Header, TensorInfo};
use super::schema::Schema;
use super::storage::Storage;
use super::view::View;
use super::{document, hash};
use crate::error::OpenError;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use half::bf16;

/// What opening checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// Whether the content hash is computed and compared. Without it a damaged weight can go unnoticed.
    pub verify_hash: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { verify_hash: true }
    }
}

/// Windows with the outputs the model's maker saw: `input` `[n, lookback, n_features]` before scaling, `output`
/// `[n, n_outputs]` as a caller gets it.
#[derive(Debug, Clone)]
pub struct Golden {
    /// Number of windows, 1 or more.
    pub n_windows: usize,
    /// Input values, window by window.
    pub input: View<f32>,
    /// Expected outputs, window by window.
    pub output: View<f32>,
}

/// An opened model file: its schema, and its tensors where they lie.
#[derive(Debug)]
pub struct Bundle {
    storage: Arc<Storage>,
    schema: Schema,
    tensors: Vec<TensorInfo>,
    /// Indices into `tensors` in the order of names.
    by_name: Vec<usize>,
    golden: Golden,
    hash: [u8; 32],
}

impl Bundle {
    /// Opens a copy of `file`.
    ///
    /// # Errors
    /// The first rule of the format that `file` breaks.
    pub fn from_bytes(file: &[u8], options: OpenOptions) -> Result<Self, OpenError> {
        Self::from_storage(Arc::new(Storage::from_bytes(file)?), options)
    }

    /// Opens what is in memory already; the weights stay where they are.
    ///
    /// # Errors
    /// The first rule of the format that the bytes break.
    pub fn from_storage(storage: Arc<Storage>, options: OpenOptions) -> Result<Self, OpenError> {
        let file = storage.bytes();
        let header = Header::parse(file)?;
        document::check_version(&header.document)?;
        let (document, hash) = (header.document.clone(), header.hash);
        let tensors = header.layout(file.len())?;
        if options.verify_hash {
            hash::verify(file, &hash)?;
        }
        let schema = Schema::from_json(&document)?;
        let by_name = sorted_by_name(&tensors);
        let golden = open_golden(&storage, &tensors, &by_name, &schema)?;
        check_finite(&storage, &tensors)?;
        Ok(Self {
            storage,
            schema,
            tensors,
            by_name,
            golden,
            hash,
        })
    }

    /// What the file says about itself.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Every tensor in the order of the file.
    #[must_use]
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The windows the model must reproduce.
    #[must_use]
    pub fn golden(&self) -> &Golden {
        &self.golden
    }

    /// The content hash; as the file states it if [`OpenOptions::verify_hash`] was declined.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// [`Bundle::hash`] as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn hash_hex(&self) -> String {
        hash::to_hex(&self.hash)
    }

    /// The file's bytes.
    #[must_use]
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    /// Whether the weights are the file's own pages instead of a copy.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.storage.is_mapped()
    }

    /// The values of a tensor that must have type `T` and exactly this shape.
    ///
    /// # Errors
    /// [`OpenError::MissingTensor`], [`OpenError::TensorType`] or [`OpenError::TensorShape`].
    pub fn tensor<T: Element>(&self, name: &str, shape: &[usize]) -> Result<View<T>, OpenError> {
        let at = find(&self.tensors, &self.by_name, name)?;
        typed_view(&self.storage, &self.tensors[at], Some(shape))
    }

    /// Reads the weights one by one and knows in the end which were left.
    #[must_use]
    pub fn reader(&self) -> TensorReader<'_> {
        TensorReader {
            used: self.tensors.iter().map(TensorInfo::is_golden).collect(),
            bundle: self,
        }
    }
}

#[cfg(feature = "std")]
impl Bundle {
    /// Maps a file and opens it. The file must not be shortened or overwritten while the bundle or any view of it
    /// lives: a shortened one ends the process with `SIGBUS`. Files replaced by rename are safe.
    ///
    /// # Errors
    /// [`OpenError::Io`], or the first rule of the format that the file breaks.
    pub fn open(path: impl AsRef<std::path::Path>, options: OpenOptions) -> Result<Self, OpenError> {
        Self::from_storage(Arc::new(Storage::map(path.as_ref())?), options)
    }

    /// Reads a file into own memory and opens that: for files which others may change in place.
    ///
    /// # Errors
    /// [`OpenError::Io`], or the first rule of the format that the file breaks.
    pub fn open_copied(path: impl AsRef<std::path::Path>, options: OpenOptions) -> Result<Self, OpenError> {
        Self::from_storage(Arc::new(Storage::read(path.as_ref())?), options)
    }
}

/// Takes a bundle's weights by name, type and shape; [`TensorReader::finish`] reports the ones nobody took.
#[derive(Debug)]
pub struct TensorReader<'a> {
    bundle: &'a Bundle,
    used: Vec<bool>,
}

impl TensorReader<'_> {
    /// As [`Bundle::tensor`], and marks the tensor as taken.
    ///
    /// # Errors
    /// [`OpenError::MissingTensor`], [`OpenError::TensorType`] or [`OpenError::TensorShape`].
    pub fn tensor<T: Element>(&mut self, name: &str, shape: &[usize]) -> Result<View<T>, OpenError> {
        let bundle = self.bundle;
        let at = find(&bundle.tensors, &bundle.by_name, name)?;
        self.used[at] = true;
        typed_view(&bundle.storage, &bundle.tensors[at], Some(shape))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`OpenError::UnknownTensor`] for the first weight that was never taken.
    pub fn finish(self) -> Result<(), OpenError> {
        match self.used.iter().position(|used| !used) {
            Some(at) => Err(OpenError::UnknownTensor(self.bundle.tensors[at].name.clone())),
            None => Ok(()),
        }
    }
}

fn sorted_by_name(tensors: &[TensorInfo]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_unstable_by_key(|&i| tensors[i].name.as_str());
    order
}

fn find(tensors: &[TensorInfo], by_name: &[usize], name: &str) -> Result<usize, OpenError> {
    by_name
        .binary_search_by_key(&name, |&i| tensors[i].name.as_str())
        .map(|at| by_name[at])
        .map_err(|_| OpenError::MissingTensor(name.to_string()))
}

/// The values of `info`; any shape will do if `shape` is `None`.
fn typed_view<T: Element>(
    storage: &Arc<Storage>,
    info: &TensorInfo,
    shape: Option<&[usize]>,
) -> Result<View<T>, OpenError> {
    if info.dtype != T::DTYPE {
        return Err(OpenError::TensorType {
            tensor: info.name.clone(),
            expected: T::DTYPE.to_string(),
            found: info.dtype.to_string(),
        });
    }
    if shape.is_some_and(|s| s != info.shape) {
        return Err(shape_error(info, format!("{:?}", shape.unwrap_or_default())));
    }
    View::new(storage, info.range.clone()).ok_or_else(|| OpenError::Misaligned {
        tensor: info.name.clone(),
        expected: T::DTYPE.size() as u64,
        offset: info.range.start as u64,
    })
}

fn shape_error(info: &TensorInfo, expected: String) -> OpenError {
    OpenError::TensorShape {
        tensor: info.name.clone(),
        expected,
        found: format!("{:?}", info.shape),
    }
}

/// `golden.input` and `golden.output`, and nothing else under their prefix.
fn open_golden(
    storage: &Arc<Storage>,
    tensors: &[TensorInfo],
    by_name: &[usize],
    schema: &Schema,
) -> Result<Golden, OpenError> {
    let (input_name, output_name) = ("golden.input", "golden.output");
    let input = &tensors[find(tensors, by_name, input_name)?];
    let output = &tensors[find(tensors, by_name, output_name)?];
    let others = tensors.iter().filter(|t| t.is_golden());
    if let Some(other) = others
        .into_iter()
        .find(|t| t.name != input_name && t.name != output_name)
    {
        return Err(OpenError::UnknownTensor(other.name.clone()));
    }
    let n_windows = input.shape.first().copied().unwrap_or(0);
    let (n_rows, n_features) = (schema.n_rows(), schema.n_features());
    if n_windows == 0 || input.shape != [n_windows, n_rows, n_features] {
        return Err(shape_error(input, format!("[1 or more, {n_rows}, {n_features}]")));
    }
    Ok(Golden {
        n_windows,
        input: typed_view(storage, input, None)?,
        output: typed_view(storage, output, Some(&[n_windows, schema.n_outputs()]))?,
    })
}

fn check_finite(storage: &Arc<Storage>, tensors: &[TensorInfo]) -> Result<(), OpenError> {
    for info in tensors {
        let index = match info.dtype {
            Dtype::F32 => first_non_finite(&typed_view::<f32>(storage, info, None)?),
            Dtype::F64 => first_non_finite(&typed_view::<f64>(storage, info, None)?),
            Dtype::Bf16 => first_non_finite(&typed_view::<bf16>(storage, info, None)?),
            Dtype::I16 => None,
        };
        if let Some(index) = index {
            return Err(OpenError::NonFinite {
                tensor: info.name.clone(),
                index,
            });
        }
    }
    Ok(())
}
