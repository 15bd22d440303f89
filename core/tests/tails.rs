//! What tails are made of: buffers anywhere and right in front of unmapped memory, denormal numbers, pages that are not there.

mod common;

use common::families;
use std::sync::Arc;
use tickfuse_core::bundle::{Arrival, Schema};
use tickfuse_core::simd::FlushDenormals;
use tickfuse_core::{Level, Model, OpenOptions, Session, Step, Stream};

/// Every family, as schema and file.
fn models() -> Vec<(Schema, Vec<u8>)> {
    let stacks = common::small_models().into_iter();
    let others = families::small_schemas().map(|schema| {
        let schema = Schema {
            arrival: Arrival::PreRolled,
            ..schema
        };
        let bytes = families::file(&schema, &families::tensors(&schema));
        (schema, bytes)
    });
    stacks.chain(others).collect()
}

fn open(bytes: &[u8], level: Level) -> Arc<Model> {
    let options = OpenOptions {
        level: Some(level),
        ..OpenOptions::default()
    };
    Model::from_bytes(bytes, options).unwrap()
}

/// A raw window of ordinary values; categories are codes.
fn window(schema: &Schema) -> Vec<f32> {
    match schema.net {
        tickfuse_core::bundle::Net::Lstm(_) => (0..schema.n_rows() * schema.n_features())
            .map(|i| common::noise(3, i))
            .collect(),
        _ => families::windows(schema, 1).concat(),
    }
}

/// Bits of a window's answer, and of a stream's, whose rows have the next ones of the window behind them where the model reads a future.
fn bits(model: &Arc<Model>, window: &[f32], out: &mut [f32]) -> Vec<u32> {
    let schema = model.schema();
    Session::new(model, 1).run(window, out).unwrap();
    let mut all: Vec<u32> = out.iter().map(|value| value.to_bits()).collect();
    let mut stream = Stream::new(model).unwrap();
    let (f, n_rows) = (schema.n_features(), 1 + schema.net.n_ahead());
    for row in window.windows(n_rows * f).step_by(f) {
        let step = stream.push(row, out).unwrap();
        assert!(matches!(step, Step::Answer(_)) || stream.remaining() > 0);
    }
    all.extend(out.iter().map(|value| value.to_bits()));
    all
}

#[test]
fn answers_do_not_depend_on_where_buffers_begin() {
    for (schema, bytes) in models() {
        for level in Level::available() {
            let (model, window) = (open(&bytes, level), window(&schema));
            let mut out = vec![0.0; schema.n_outputs()];
            let expected = bits(&model, &window, &mut out);
            for shift in 1..16 {
                let (mut from, mut to) = (vec![0.0; shift], vec![0.0; shift + schema.n_outputs()]);
                from.extend_from_slice(&window);
                assert_eq!(bits(&model, &from[shift..], &mut to[shift..]), expected);
            }
        }
    }
}

/// Two pages of memory, the second of which nobody may touch.
#[cfg(unix)]
struct Edge {
    map: memmap2::MmapMut,
    page: usize,
}

#[cfg(unix)]
impl Edge {
    fn new(n_bytes: usize) -> Self {
        // Larger than any page in use, so that the file ends where one does.
        let page = n_bytes.next_multiple_of(1 << 16);
        let file = tempfile::tempfile().unwrap();
        file.set_len(page as u64).unwrap();
        let mut options = memmap2::MmapOptions::new();
        // SAFETY: the file has no name and stays as long as it is. Behind its end the mapping must not be touched, which is what these
        // tests show: a read or write there ends the program.
        let map = unsafe { options.len(2 * page).map_mut(&file) }.unwrap();
        Self { map, page }
    }

    /// The last `n` values before the end.
    fn last(&mut self, n: usize) -> &mut [f32] {
        let bytes = &mut self.map[self.page - n * size_of::<f32>()..self.page];
        bytemuck::cast_slice_mut(bytes)
    }
}

#[cfg(unix)]
#[test]
fn nothing_is_read_or_written_behind_the_end_of_a_buffer() {
    for (schema, bytes) in models() {
        for level in Level::available() {
            let (model, window) = (open(&bytes, level), window(&schema));
            let mut out = vec![0.0; schema.n_outputs()];
            let expected = bits(&model, &window, &mut out);
            let (mut from, mut to) = (Edge::new(window.len() * 4), Edge::new(out.len() * 4));
            from.last(window.len()).copy_from_slice(&window);
            let found = bits(&model, from.last(window.len()), to.last(out.len()));
            assert_eq!(found, expected, "{:?} on {}", schema.net, level.name());
        }
    }
}

#[test]
fn denormal_inputs_have_the_answers_of_zeros_with_and_without_the_guard() {
    for (schema, bytes) in models() {
        for level in Level::available() {
            let (model, window) = (open(&bytes, level), window(&schema));
            let mut out = vec![0.0; schema.n_outputs()];
            let is_real = |i: usize| {
                let inputs = schema.inputs.iter().filter(|input| input.derived.is_none());
                let mut inputs = inputs.skip(i % schema.n_features());
                inputs.next().is_some_and(|input| input.categories.is_none())
            };
            let with = |x: &dyn Fn(f32) -> f32| -> Vec<f32> {
                let values = window.iter().enumerate();
                values
                    .map(|(i, value)| if is_real(i) { x(*value) } else { *value })
                    .collect()
            };
            let (zeros, denormals) = (with(&|_| 0.0), with(&|value| value * 1e-39));
            assert!(denormals.iter().any(|value| value.is_subnormal()));
            let expected = bits(&model, &zeros, &mut out);
            for (found, expected) in bits(&model, &denormals, &mut out).iter().zip(&expected) {
                let (found, expected) = (f32::from_bits(*found), f32::from_bits(*expected));
                let what = format!("{:?} on {}", schema.net, level.name());
                assert_eq!(found.to_bits(), expected.to_bits(), "{what}: {found} {expected}");
            }
            // SAFETY: the inputs were computed before, and what the guard makes of them is what is tested.
            let guard = unsafe { FlushDenormals::new() };
            let (flushed, zeros) = (bits(&model, &denormals, &mut out), bits(&model, &zeros, &mut out));
            drop(guard);
            if FlushDenormals::HAS_EFFECT {
                assert_eq!(flushed, zeros);
            }
            assert_eq!(bits(&model, &with(&|_| 0.0), &mut out), expected);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_models_pages_can_be_touched_advised_and_locked_while_it_serves() {
    let (_, bytes) = models().remove(0);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let options = OpenOptions::default();
    for model in [
        Model::open(file.path(), options).unwrap(),
        Model::open_copied(file.path(), options).unwrap(),
    ] {
        assert_eq!(model.prefault(), bytes.len());
        // A system may refuse; then it says why, and the model goes on.
        for asked in [model.advise_huge_pages(), model.lock_in_memory()] {
            assert!(asked.err().is_none_or(|reason| reason.raw_os_error().is_some()));
        }
        assert!(model.check_golden().is_ok());
    }
}
