//! `tickfuse_interpretation`: what the last window selected and attended to, copied to the caller.

use crate::error::{Failure, UseError};
use crate::guard;
use crate::pointer::{self, OutSlice};
use crate::session::SessionHandle;
use crate::sized::{OutSized, SizeLed};
use tickfuse_core::{Interpretation, Session};

/// `TICKFUSE_MAX_DIMS`.
pub const MAX_DIMS: usize = 4;
/// `TICKFUSE_NAME_SIZE`.
pub const NAME_SIZE: usize = 64;

/// `tickfuse_interpretation` of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct CallerInterpretation {
    /// Bytes of the caller's structure.
    pub size: usize,
    /// Dimensions.
    pub n_dims: usize,
    /// The first `n_dims`; the others are 0.
    pub shape: [usize; MAX_DIMS],
    /// Number of values: the product of the shape.
    pub n_values: usize,
    /// Text that ends with a zero.
    pub name: [u8; NAME_SIZE],
}

impl SizeLed for CallerInterpretation {}

impl CallerInterpretation {
    /// What `TICKFUSE_INTERPRETATION_INIT` gives.
    pub const INIT: Self = Self {
        size: size_of::<Self>(),
        n_dims: 0,
        shape: [0; MAX_DIMS],
        n_values: 0,
        name: [0; NAME_SIZE],
    };

    /// Panics where a name or shape of the core is longer than the header says.
    fn new(size: usize, found: &Interpretation) -> Self {
        let mut made = Self {
            size,
            n_dims: found.shape.len(),
            n_values: found.values.len(),
            ..Self::INIT
        };
        made.shape[..made.n_dims].copy_from_slice(&found.shape);
        made.name[..NAME_SIZE - 1][..found.name.len()].copy_from_slice(found.name.as_bytes());
        made
    }
}

/// `tickfuse_session_n_interpretations` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_n_interpretations(session: *const SessionHandle) -> usize {
    guard::value(0, || {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(session, "session") }?;
        handle.with(|session| session.interpret().len())
    })
}

/// The array of number `index`.
fn at(session: &Session, index: usize) -> Result<Interpretation, Failure> {
    let mut all = session.interpret();
    if index >= all.len() {
        let limit = all.len();
        return Err(UseError::Index { limit, found: index }.into());
    }
    Ok(all.swap_remove(index))
}

/// `tickfuse_session_interpretation` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_interpretation(
    session: *const SessionHandle,
    index: usize,
    out: *mut CallerInterpretation,
    values: *mut f32,
    n_values: usize,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(session, "session") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { OutSized::new(out, "out") }?;
        let found = handle.with(|session| at(session, index))??;
        let described = CallerInterpretation::new(out.size(), &found);
        if !values.is_null() || n_values != 0 {
            // SAFETY: the caller's promise is passed on.
            let to = unsafe { OutSlice::new(values, n_values, "values") }?;
            if n_values < found.values.len() {
                return Err(UseError::Values {
                    needed: found.values.len(),
                    found: n_values,
                }
                .into());
            }
            to.write(&found.values);
        }
        out.write(described);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_models::families;
    use tickfuse_core::Level;

    #[test]
    fn names_and_shapes_of_every_family_fit_the_structure() {
        let mut n_arrays = 0;
        for schema in families::small_schemas() {
            let bytes = families::file(&schema, &families::tensors(&schema));
            let mut session = families::session(&bytes, Level::Portable);
            let mut out = vec![0.0; schema.n_outputs()];
            session.run(&families::windows(&schema, 1)[0], &mut out).unwrap();
            for found in session.interpret() {
                let made = CallerInterpretation::new(7, &found);
                assert_eq!(made.shape[..made.n_dims], found.shape[..]);
                assert_eq!(made.shape[..made.n_dims].iter().product::<usize>(), made.n_values);
                let name = core::ffi::CStr::from_bytes_until_nul(&made.name).unwrap();
                assert_eq!(name.to_str(), Ok(found.name));
                n_arrays += 1;
            }
        }
        assert!(n_arrays > 10, "{n_arrays}");
    }
}
