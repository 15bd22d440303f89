//! Every wrong call is an error with the right number, and leaves every output as it was.

use crate::models;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use tickfuse::*;

const UNTOUCHED: f32 = 42.5;
const N_VALUES: usize = 7 * 3;

/// A model that C would hold.
pub(crate) struct OpenModel(pub(crate) *mut ModelHandle);

impl OpenModel {
    pub(crate) fn new() -> Self {
        let (_, bytes) = models::small_models().swap_remove(0);
        let mut model = null_mut();
        assert_eq!(open_memory(&bytes, null(), &mut model), 0, "{}", last_error());
        Self(model)
    }
}

impl Drop for OpenModel {
    fn drop(&mut self) {
        // SAFETY: opened by `new`, freed here only.
        unsafe { tickfuse_model_free(self.0) };
    }
}

/// A session that C would hold.
struct OpenSession(*mut SessionHandle);

impl OpenSession {
    fn new(max_batch: usize) -> Self {
        let model = OpenModel::new();
        let mut session = null_mut();
        // SAFETY: the model is open, `session` is writable.
        let status = unsafe { tickfuse_session_new(model.0, max_batch, &mut session) };
        assert_eq!(status, 0, "{}", last_error());
        Self(session)
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed here only.
        unsafe { tickfuse_session_free(self.0) };
    }
}

fn open_memory(bytes: &[u8], options: *const CallerOptions, out: &mut *mut ModelHandle) -> i32 {
    // SAFETY: slice and reference are what the function asks for; `options` is a test's own or NULL.
    unsafe { tickfuse_model_open_memory(bytes.as_ptr(), bytes.len(), options, out) }
}

pub(crate) fn last_error() -> String {
    let mut text = vec![0; 2048];
    // SAFETY: the buffer has the stated length.
    let needed = unsafe { tickfuse_last_error(text.as_mut_ptr().cast(), text.len()) };
    let text = CStr::from_bytes_until_nul(&text).unwrap().to_str().unwrap();
    assert_eq!(needed, text.len() + 1);
    text.to_owned()
}

/// A pointer one byte beside the alignment of `T`.
pub(crate) fn odd<T>(pointer: *const T) -> *mut T {
    pointer.cast::<u8>().wrapping_add(1).cast::<T>().cast_mut()
}

/// The arguments of `tickfuse_session_run_batch`.
#[derive(Clone, Copy)]
struct Call {
    session: *mut SessionHandle,
    windows: *const f32,
    n_values: usize,
    n_windows: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
}

/// What makes a sound call wrong.
type Change = fn(&mut Call);

/// Changes a sound call of one window and gives its status; the outputs must stay untouched.
fn refused(change: impl FnOnce(&mut Call)) -> i32 {
    let session = OpenSession::new(2);
    let windows = [0.5_f32; 2 * N_VALUES];
    let (mut out, mut flags) = ([UNTOUCHED; 6], 77_u32);
    let mut call = Call {
        session: session.0,
        windows: windows.as_ptr(),
        n_values: N_VALUES,
        n_windows: 1,
        out: out.as_mut_ptr(),
        n_out: 3,
        flags: &raw mut flags,
    };
    change(&mut call);
    let Call {
        session,
        windows,
        n_values,
        n_windows,
        out: to,
        n_out,
        flags: to_flags,
    } = call;
    // SAFETY: every test keeps pointers to the arrays above or makes them NULL or misaligned.
    let status =
        unsafe { tickfuse_session_run_batch(session, windows, n_values, n_windows, to, n_out, to_flags) };
    assert_eq!((out, flags), ([UNTOUCHED; 6], 77));
    status
}

#[test]
fn null_pointers_of_a_run_are_refused_by_name() {
    let cases: [(Change, &str); 4] = [
        (|c| c.session = null_mut(), "session"),
        (|c| c.windows = null(), "windows"),
        (|c| c.out = null_mut(), "out"),
        (|c| c.flags = null_mut(), "flags"),
    ];
    for (change, name) in cases {
        assert_eq!(refused(change), Status::Null.number());
        assert_eq!(last_error(), format!("{name}: expected a pointer, found NULL"));
    }
}

#[test]
fn misaligned_pointers_of_a_run_are_refused_by_name() {
    let cases: [(Change, &str); 4] = [
        (|c| c.session = odd(c.session), "session"),
        (|c| c.windows = odd(c.windows), "windows"),
        (|c| c.out = odd(c.out), "out"),
        (|c| c.flags = odd(c.flags), "flags"),
    ];
    for (change, name) in cases {
        assert_eq!(refused(change), Status::Alignment.number());
        assert!(
            last_error().starts_with(&format!("{name}: expected a multiple of ")),
            "{}",
            last_error()
        );
    }
}

#[test]
fn wrong_lengths_of_a_run_are_refused_with_both_numbers() {
    let cases: [(Change, Status, &str); 8] = [
        (
            |c| c.n_values = 0,
            Status::RunInputLength,
            "input: expected 21 values, found 0",
        ),
        (
            |c| c.n_values -= 1,
            Status::RunInputLength,
            "input: expected 21 values, found 20",
        ),
        (
            |c| c.n_values += 1,
            Status::RunInputLength,
            "input: expected 21 values, found 22",
        ),
        (
            |c| c.n_out = 2,
            Status::RunOutputLength,
            "output: expected room for 3 values, found 2",
        ),
        (
            |c| c.n_out = 4,
            Status::RunOutputLength,
            "output: expected room for 3 values, found 4",
        ),
        (
            |c| c.n_windows = 0,
            Status::RunBatch,
            "batch: expected 1 to 2 windows, found 0",
        ),
        (
            |c| c.n_windows = 3,
            Status::RunBatch,
            "batch: expected 1 to 2 windows, found 3",
        ),
        (
            |c| c.n_windows = 2,
            Status::RunOutputLength,
            "output: expected room for 6 values, found 3",
        ),
    ];
    for (change, status, text) in cases {
        assert_eq!((refused(change), last_error().as_str()), (status.number(), text));
    }
    assert_eq!(refused(|c| c.n_windows = usize::MAX), Status::RunBatch.number());
    assert_eq!(refused(|c| c.n_values = usize::MAX), Status::Length.number());
    assert_eq!(refused(|c| c.n_out = usize::MAX), Status::Length.number());
}

#[test]
fn a_value_the_model_refuses_is_named_by_its_place() {
    let mut windows = [0.5_f32; 2 * N_VALUES];
    windows[N_VALUES + 5] = f32::INFINITY;
    let status = refused(|c| {
        (c.windows, c.n_values) = (windows.as_ptr(), windows.len());
        (c.n_windows, c.n_out) = (2, 6);
    });
    assert_eq!(status, Status::RunNonFinite.number());
    assert_eq!(
        last_error(),
        "input: window 1, row 1, column 2 is NaN or infinite"
    );
}

#[test]
fn output_may_lie_in_the_window_it_answers() {
    let session = OpenSession::new(1);
    let mut window = [0.5_f32; N_VALUES];
    let (mut apart, mut flags) = ([0.0; 3], 0);
    let at = window.as_mut_ptr();
    let run = |out: *mut f32, flags: &mut u32| {
        // SAFETY: window and output are long enough; overlap is allowed.
        unsafe { tickfuse_session_run(session.0, at, N_VALUES, out, 3, flags) }
    };
    assert_eq!(run(apart.as_mut_ptr(), &mut flags), 0);
    assert_eq!(run(at.wrapping_add(4), &mut flags), 0);
    assert_eq!(window[4..7], apart);
}

#[test]
fn a_session_needs_a_model_a_place_and_a_batch_in_range() {
    let model = OpenModel::new();
    let mut session = null_mut();
    let mut new = |model, max_batch| {
        // SAFETY: the model is open, NULL or misaligned; `session` is writable.
        let status = unsafe { tickfuse_session_new(model, max_batch, &mut session) };
        assert!(session.is_null());
        status
    };
    assert_eq!(new(null(), 1), Status::Null.number());
    assert_eq!(new(odd(model.0), 1), Status::Alignment.number());
    for max_batch in [0, MAX_BATCH + 1, usize::MAX] {
        assert_eq!(new(model.0, max_batch), Status::Length.number());
        assert_eq!(
            last_error(),
            format!("max_batch: expected 1 to 65536, found {max_batch}")
        );
    }
    // SAFETY: the place is NULL, which is checked.
    let status = unsafe { tickfuse_session_new(model.0, 1, null_mut()) };
    assert_eq!(status, Status::Null.number());
}

#[test]
fn a_handle_that_is_none_has_no_size_no_level_and_no_text() {
    let model = OpenModel::new();
    let mut buf = [7_u8; 128];
    let mut needed = 5;
    for (handle, status) in [
        (null(), Status::Null),
        (odd(model.0).cast_const(), Status::Alignment),
    ] {
        // SAFETY: NULL and misaligned handles are checked.
        assert_eq!(unsafe { tickfuse_model_lookback(handle) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { tickfuse_model_n_features(handle) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { tickfuse_model_n_outputs(handle) }, 0);
        // SAFETY: as above.
        assert!(unsafe { tickfuse_model_level(handle) }.is_null());
        let to = buf.as_mut_ptr().cast();
        // SAFETY: as above; the buffer has 128 bytes.
        assert_eq!(unsafe { tickfuse_model_hash(handle, to, 128) }, status.number());
        // SAFETY: as above; `needed` is writable.
        let found = unsafe { tickfuse_model_schema_json(handle, to, 128, &mut needed) };
        assert_eq!(found, status.number());
        assert!(last_error().starts_with("model: "), "{}", last_error());
    }
    assert_eq!((buf, needed), ([7; 128], 5));
}

#[test]
fn texts_need_room_for_all_of_them() {
    let model = OpenModel::new();
    let mut buf = [7_u8; 128];
    let mut needed = 5;
    let to = buf.as_mut_ptr().cast::<c_char>();
    for len in [0, 1, HASH_SIZE - 1] {
        // SAFETY: the length is below the buffer's.
        let status = unsafe { tickfuse_model_hash(model.0, to, len) };
        assert_eq!(status, Status::Buffer.number());
        assert_eq!(
            last_error(),
            format!("buf: expected room for 65 bytes, found {len}")
        );
    }
    // SAFETY: the buffer has 128 bytes, `needed` is writable.
    let status = unsafe { tickfuse_model_schema_json(model.0, to, 128, &mut needed) };
    assert_eq!(status, Status::Buffer.number());
    // SAFETY: NULL with a length is checked.
    let status = unsafe { tickfuse_model_schema_json(model.0, null_mut(), 128, &mut needed) };
    assert_eq!(status, Status::Null.number());
    // SAFETY: NULL for `needed` is checked.
    let status = unsafe { tickfuse_model_schema_json(model.0, null_mut(), 0, null_mut()) };
    assert_eq!(status, Status::Null.number());
    assert_eq!((buf, needed), ([7; 128], 5));
    // SAFETY: the buffer has more than 65 bytes.
    assert_eq!(unsafe { tickfuse_model_hash(model.0, to, HASH_SIZE) }, 0);
    assert_eq!((buf[64], buf[65]), (0, 7));
}

#[test]
fn the_last_error_is_cut_to_the_buffer_and_tells_its_whole_size() {
    assert_eq!(refused(|c| c.out = null_mut()), Status::Null.number());
    let whole = last_error();
    let mut buf = [7_u8; 16];
    for len in 0..16 {
        buf.fill(7);
        // SAFETY: the length is below the buffer's.
        let needed = unsafe { tickfuse_last_error(buf.as_mut_ptr().cast(), len) };
        assert_eq!(needed, whole.len() + 1);
        let kept = len.saturating_sub(1);
        assert_eq!(&buf[..kept], &whole.as_bytes()[..kept]);
        assert!(len == 0 || buf[kept] == 0);
        assert!(buf[len..].iter().all(|byte| *byte == 7));
    }
    // SAFETY: NULL is allowed.
    assert_eq!(unsafe { tickfuse_last_error(null_mut(), 16) }, whole.len() + 1);
}

#[test]
fn files_that_are_no_models_are_refused_and_hand_out_nothing() {
    let (_, bytes) = models::small_models().swap_remove(0);
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let cases = [
        (&bytes[..0], Status::OpenSize),
        (&bytes[..bytes.len() - 1], Status::OpenSize),
        (&damaged[..], Status::OpenHash),
        (&[0xff; 64], Status::OpenHeader),
    ];
    for (bytes, status) in cases {
        let mut model = null_mut();
        assert_eq!(
            open_memory(bytes, null(), &mut model),
            status.number(),
            "{}",
            last_error()
        );
        assert!(model.is_null());
    }
    let declined = CallerOptions {
        flags: OPEN_DECLINE_HASH | OPEN_DECLINE_GOLDEN,
        ..CallerOptions::INIT
    };
    let mut model = null_mut();
    assert_eq!(
        open_memory(&damaged, &declined, &mut model),
        0,
        "{}",
        last_error()
    );
    // SAFETY: just opened.
    unsafe { tickfuse_model_free(model) };
}

/// Groups that no content of a file leads to.
const NOT_BY_FILE: [Status; 3] = [Status::OpenIo, Status::OpenLevel, Status::OpenOther];

#[test]
fn hostile_files_reach_every_number_a_file_can_reach_and_no_other() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/hostile");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = CString::new(entry.unwrap().path().to_str().unwrap()).unwrap();
        let mut model = null_mut();
        // SAFETY: a C string and a writable place.
        found.insert(unsafe { tickfuse_model_open(path.as_ptr(), null(), &mut model) });
        assert!(model.is_null() && !last_error().is_empty(), "{path:?}");
    }
    let open = |status: &&Status| status.number() / 100 == 2 && !NOT_BY_FILE.contains(status);
    let expected: BTreeSet<i32> = Status::ALL.iter().filter(open).map(|s| s.number()).collect();
    assert_eq!(found, expected);
}

#[test]
fn paths_and_their_places_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = null_mut();
    let mut open = |path: *const c_char, options: *const CallerOptions| {
        // SAFETY: the path is NULL or a C string, the options are NULL or well-formed or misaligned.
        let status = unsafe { tickfuse_model_open(path, options, &mut model) };
        assert!(model.is_null());
        status
    };
    let path = CString::new(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(open(null(), null()), Status::Null.number());
    assert_eq!(open(c"".as_ptr(), null()), Status::OpenIo.number());
    assert_eq!(open(path.as_ptr(), null()), Status::OpenIo.number());
    assert!(last_error().contains(path.to_str().unwrap()), "{}", last_error());
    let options = CallerOptions::INIT;
    assert_eq!(
        open(path.as_ptr(), odd(&raw const options)),
        Status::Alignment.number()
    );
    // SAFETY: the place is NULL, which is checked.
    let status = unsafe { tickfuse_model_open(path.as_ptr(), null(), null_mut()) };
    assert_eq!(
        (status, last_error().as_str()),
        (100, "out: expected a pointer, found NULL")
    );
    // SAFETY: NULL bytes are checked.
    let status = unsafe { tickfuse_model_open_memory(null(), 5, null(), &mut model) };
    assert_eq!(
        (status, last_error().as_str()),
        (100, "bytes: expected a pointer, found NULL")
    );
}

#[test]
fn letting_go_of_nothing_is_fine() {
    // SAFETY: NULL is allowed.
    unsafe { tickfuse_model_free(null_mut()) };
    // SAFETY: NULL is allowed.
    unsafe { tickfuse_session_free(null_mut()) };
}
