//! Tensors as views of storages: type, offset, shape and strides, converted to numbers on request.

use super::error::Fault;
use super::limits::Limits;
use half::{bf16, f16};
use std::ops::Range;
use std::sync::Arc;

/// Type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorType {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// IEEE half precision.
    F16,
    /// Upper half of a 32-bit float.
    Bf16,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// 16-bit integer.
    I16,
    /// 8-bit integer.
    I8,
    /// Byte.
    U8,
    /// Truth value in a byte.
    Bool,
}

impl TensorType {
    const STORAGES: [(&'static str, Self); 10] = [
        ("FloatStorage", Self::F32),
        ("DoubleStorage", Self::F64),
        ("HalfStorage", Self::F16),
        ("BFloat16Storage", Self::Bf16),
        ("LongStorage", Self::I64),
        ("IntStorage", Self::I32),
        ("ShortStorage", Self::I16),
        ("CharStorage", Self::I8),
        ("ByteStorage", Self::U8),
        ("BoolStorage", Self::Bool),
    ];

    /// By the storage class of module `torch`.
    pub(super) fn of_storage(class: &str) -> Result<Self, Fault> {
        let found = Self::STORAGES.iter().find(|(name, _)| *name == class);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            let names = Self::STORAGES.map(|(name, _)| name).join(", ");
            Fault::new(format!("a storage of torch: {names}"), format!("`{class}`"))
        })
    }

    /// Bytes of an element.
    #[must_use]
    pub const fn n_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether elements are floats.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::Bf16)
    }
}

/// Raw elements of one type that tensors are views of.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub(super) file: Arc<Vec<u8>>,
    pub(super) bytes: Range<usize>,
    pub(super) kind: TensorType,
}

impl Storage {
    fn n_elements(&self) -> usize {
        self.bytes.len() / self.kind.n_bytes()
    }
}

/// A tensor of the file. Cheap to clone: its elements stay in the file's bytes until they are asked for.
#[derive(Debug, Clone)]
pub struct Tensor {
    storage: Storage,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Tensor {
    /// A view of a storage; offset and strides are in elements, and no element may lie outside.
    pub(super) fn new(
        storage: Storage,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
        limits: &Limits,
    ) -> Result<Self, Fault> {
        Fault::above("dimensions", shape.len() as u64, limits.rank)?;
        if shape.len() != strides.len() {
            return Err(Fault::new(format!("{} strides", shape.len()), strides.len()));
        }
        let end = end_of(offset, &shape, &strides);
        if end.is_none_or(|end| end > storage.n_elements()) {
            return Err(Fault::new(
                format!("a view of a storage of {} elements", storage.n_elements()),
                format!("offset {offset}, shape {shape:?}, strides {strides:?}"),
            ));
        }
        Ok(Self {
            storage,
            offset,
            shape,
            strides,
        })
    }

    /// Sizes of the dimensions; empty for a scalar.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Type of the elements.
    #[must_use]
    pub fn dtype(&self) -> TensorType {
        self.storage.kind
    }

    /// Number of elements.
    #[must_use]
    pub fn n_elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether both are the same view of the same storage: an alias, not a copy.
    #[must_use]
    pub fn is_alias_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.storage.file, &other.storage.file)
            && self.storage.bytes == other.storage.bytes
            && (self.offset, &self.shape, &self.strides) == (other.offset, &other.shape, &other.strides)
    }

    /// Elements in row-major order: exact for `F32`, `F16`, `Bf16` and small integers, rounded once for the others.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        match self.storage.kind {
            TensorType::F32 => self.map(f32::from_le_bytes),
            TensorType::F16 => self.map(|b| f16::from_le_bytes(b).to_f32()),
            TensorType::Bf16 => self.map(|b| bf16::from_le_bytes(b).to_f32()),
            TensorType::F64 => self.map(|b| f64::from_le_bytes(b) as f32),
            _ => self.integers().into_iter().map(|v| v as f32).collect(),
        }
    }

    /// Elements in row-major order: exact but for integers beyond 2^53, which are rounded.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        match self.storage.kind {
            TensorType::F64 => self.map(f64::from_le_bytes),
            kind if kind.is_float() => self.to_f32().into_iter().map(f64::from).collect(),
            _ => self.integers().into_iter().map(|v| v as f64).collect(),
        }
    }

    /// Elements in row-major order, truth values as 0 and 1; nothing for a tensor of floats.
    #[must_use]
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        (!self.storage.kind.is_float()).then(|| self.integers())
    }

    fn integers(&self) -> Vec<i64> {
        match self.storage.kind {
            TensorType::I64 => self.map(i64::from_le_bytes),
            TensorType::I32 => self.map(|b| i64::from(i32::from_le_bytes(b))),
            TensorType::I16 => self.map(|b| i64::from(i16::from_le_bytes(b))),
            TensorType::I8 => self.map(|[b]: [u8; 1]| i64::from(b as i8)),
            TensorType::U8 => self.map(|[b]: [u8; 1]| i64::from(b)),
            TensorType::Bool => self.map(|[b]: [u8; 1]| i64::from(b != 0)),
            kind => unreachable!("{kind:?} has no integers"),
        }
    }

    fn map<T, const N: usize>(&self, f: impl Fn([u8; N]) -> T) -> Vec<T> {
        let elements = self.storage.file[self.storage.bytes.clone()].as_chunks::<N>().0;
        self.positions().map(|i| f(elements[i])).collect()
    }

    /// Places in the storage, last dimension fastest. Strides of dimensions of size 1 may be any number: they wrap and
    /// are taken back.
    fn positions(&self) -> impl Iterator<Item = usize> {
        let mut index = vec![0; self.shape.len()];
        let mut at = self.offset;
        (0..self.n_elements()).map(move |_| {
            let here = at;
            for d in (0..index.len()).rev() {
                index[d] += 1;
                at = at.wrapping_add(self.strides[d]);
                if index[d] < self.shape[d] {
                    break;
                }
                at = at.wrapping_sub(index[d].wrapping_mul(self.strides[d]));
                index[d] = 0;
            }
            here
        })
    }
}

/// One past the last element a view touches; nothing where the numbers overflow.
fn end_of(offset: usize, shape: &[usize], strides: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |n, size| n.checked_mul(*size))?;
    if shape.contains(&0) {
        return Some(offset);
    }
    let reach = shape
        .iter()
        .zip(strides)
        .try_fold(offset, |end, (size, stride)| {
            end.checked_add((size - 1).checked_mul(*stride)?)
        })?;
    reach.checked_add(1)
}
