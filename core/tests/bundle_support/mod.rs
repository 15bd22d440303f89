//! A tiny model file and the tools to damage it; shared by the tests and by the maker of `fixtures/hostile`.
//!
//! The tools know the format from its text, not from the crate: offsets and hash are stated again here.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each program that includes this module uses its own part"
)]

pub mod cases;

use half::bf16;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tickfuse_core::bundle::{Precision, Schema, Tensor, write};
use tickfuse_core::error::OpenError;
use tickfuse_core::{Model, OpenOptions};

/// Where the content hash stands in every bundle.
pub const HASH_DIGITS: std::ops::Range<usize> = 44..108;

/// Schema of the tiny model: `x[3, 2] -> LSTM 16 -> dense 1 -> sigmoid`.
pub const SCHEMA: &str = r#"{"format":1,"name":"tiny",
"net":{"family":"lstm","lookback":3,"n_hidden":16,"n_layers":1,"head":[{"n_out":1,"activation":"none"}]},
"precision":"f32",
"inputs":[{"name":"a","scaler":{"center":0.1,"scale":3.0}},{"name":"b","scaler":{"center":-1.5,"scale":0.25}}],
"outputs":[{"name":"p_up","kind":"sigmoid","labels":["up"],"unit":"probability"}],
"arrival":"pre_rolled","golden_tolerance":0.0001,"provenance":{"note":"synthetic"}}"#;

/// The tiny model's schema in the given precision.
pub fn schema(precision: Precision) -> Schema {
    let mut schema = Schema::from_json(SCHEMA).unwrap();
    schema.precision = precision;
    schema
}

/// Repeatable values in -0.25 to 0.25 that are exact in bf16.
fn noise(n: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 25) as f32 - 64.0) / 256.0
    };
    (0..n).map(next).collect()
}

/// A weight's name and shape in f32 panels and in bf16 panels.
type Weight = (&'static str, &'static [usize], &'static [usize]);

/// The weights of the tiny net that follow the bundle's precision.
const PANELS: [Weight; 3] = [
    ("lstm.0.input", &[1, 2, 4, 16], &[1, 1, 4, 16, 2]),
    ("lstm.0.recurrent", &[1, 16, 4, 16], &[1, 8, 4, 16, 2]),
    ("head.0.weight", &[1, 16, 16], &[1, 8, 16, 2]),
];

/// Its biases, always f32.
const BIASES: [(&str, &[usize]); 2] = [("lstm.0.bias", &[1, 4, 16]), ("head.0.bias", &[1, 16])];

/// A valid model file, in f32 or bf16. The head's weights are zero, so that every answer is a probability of exactly one half.
pub fn valid(precision: Precision) -> Vec<u8> {
    let values = |name: &str, shape: &[usize]| {
        let n = shape.iter().product();
        if name.starts_with("head.") {
            vec![0.0; n]
        } else {
            noise(n)
        }
    };
    let panels: Vec<_> = PANELS
        .iter()
        .map(|(name, shape, _)| values(name, shape))
        .collect();
    let halves: Vec<Vec<bf16>> = panels
        .iter()
        .map(|p| p.iter().map(|&v| bf16::from_f32(v)).collect())
        .collect();
    let biases: Vec<_> = BIASES.iter().map(|(name, shape)| values(name, shape)).collect();
    let mut tensors = Vec::new();
    for (i, (name, shape, paired)) in PANELS.into_iter().enumerate() {
        tensors.push(match precision {
            Precision::Bf16 => Tensor::new(name, paired, &halves[i]),
            _ => Tensor::new(name, shape, &panels[i]),
        });
    }
    for ((name, shape), bias) in BIASES.into_iter().zip(&biases) {
        tensors.push(Tensor::new(name, shape, bias));
    }
    let input = noise(2 * 3 * 2);
    tensors.push(Tensor::new("golden.input", &[2, 3, 2], &input));
    tensors.push(Tensor::new("golden.output", &[2, 1], &[0.5_f32; 2]));
    write(&schema(precision), &tensors).unwrap()
}

/// Opens the file as a model: every rule of the format is checked.
pub fn open(file: &[u8]) -> Result<Arc<Model>, OpenError> {
    Model::from_bytes(file, OpenOptions::default())
}

/// The name of the error's variant.
pub fn rule(error: &OpenError) -> String {
    let text = format!("{error:?}");
    text.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// A model file taken apart: the header's JSON without padding, and the data.
#[derive(Clone)]
pub struct Parts {
    pub json: String,
    pub data: Vec<u8>,
}

impl Parts {
    pub fn of(file: &[u8]) -> Self {
        let n = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let json = std::str::from_utf8(&file[8..8 + n]).unwrap().trim_end();
        Self {
            json: json.to_string(),
            data: file[8 + n..].to_vec(),
        }
    }

    /// Replaces the only occurrence of `from` in the header.
    pub fn replace(mut self, from: &str, to: &str) -> Self {
        assert_eq!(self.json.matches(from).count(), 1, "{from} in {}", self.json);
        self.json = self.json.replace(from, to);
        self
    }

    /// Puts one more tensor behind the last one; `entry` is its JSON without offsets.
    pub fn append(mut self, entry: &str, bytes: &[u8]) -> Self {
        let (begin, end) = (self.data.len(), self.data.len() + bytes.len());
        let open = self.json.strip_suffix("}}").unwrap();
        self.json = format!("{open}}},{entry},\"data_offsets\":[{begin},{end}]}}}}");
        self.data.extend_from_slice(bytes);
        self
    }

    /// The file with data on a cache line and the right hash.
    pub fn file(&self) -> Vec<u8> {
        self.padded_to(64)
    }

    /// The file with data at a multiple of `alignment`, and the right hash.
    pub fn padded_to(&self, alignment: usize) -> Vec<u8> {
        let n = (8 + self.json.len()).next_multiple_of(alignment) - 8;
        self.with_length(n)
    }

    /// The file with a header of `n` bytes.
    pub fn with_length(&self, n: usize) -> Vec<u8> {
        let padding = " ".repeat(n - self.json.len());
        let length = (n as u64).to_le_bytes();
        let mut file = [&length, self.json.as_bytes(), padding.as_bytes(), &self.data].concat();
        sign(&mut file);
        file
    }
}

/// Writes the content hash into its place.
pub fn sign(file: &mut [u8]) {
    file[HASH_DIGITS].fill(b'0');
    let digits: String = Sha256::digest(&*file)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    file[HASH_DIGITS].copy_from_slice(digits.as_bytes());
}
