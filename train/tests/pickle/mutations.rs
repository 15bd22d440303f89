//! Damaged files: every truncation, every flipped byte, and seeded random changes. Whatever is accepted can be walked.
//!
//! The long run, with the memory of the process limited to 2 GB:
//!
//! ```text
//! cargo test -p tickfuse-train --test pickle --no-run
//! (ulimit -v 2000000; cargo test -p tickfuse-train --test pickle -- --ignored million)
//! ```

use crate::fixture;
use crate::tell::Tell;
use crate::writer::{Zip, pickle, tensor};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;
use tickfuse_train::import::pickle::{Limits, PickleFile, TorchFile};

const FLIPS: [u8; 4] = [0x01, 0x20, 0x80, 0xff];

/// Small enough to walk every accepted value many times.
fn limits() -> Limits {
    Limits {
        walk: 100_000,
        ..Limits::default()
    }
}

fn torch(bytes: Vec<u8>) -> Option<serde_json::Value> {
    let file = TorchFile::from_bytes(Path::new("f"), bytes, &limits());
    file.ok().map(|file| file.told())
}

fn bare(bytes: &[u8]) -> Option<serde_json::Value> {
    let file = PickleFile::from_bytes(Path::new("p"), bytes, &limits());
    file.ok().map(|file| file.told())
}

fn files() -> Vec<Vec<u8>> {
    let written = Zip::torch(&pickle(&tensor(2, 0, &[2], &[1])), &[&[1; 8]]).bytes();
    let real = ["pickle/tensors.pt", "pickle/arrays.pt", "seeds/tiny.pt"];
    let real = real.map(|name| fs::read(fixture(name)).unwrap());
    real.into_iter().chain([written]).collect()
}

#[test]
fn every_truncation_is_refused() {
    for file in files() {
        for n in 0..file.len() {
            assert_eq!(torch(file[..n].to_vec()), None, "{n} of {} bytes", file.len());
        }
    }
    let file = fs::read(fixture("pickle/values.p4.pkl")).unwrap();
    for n in 0..file.len() {
        assert_eq!(bare(&file[..n]), None, "{n} of {} bytes", file.len());
    }
}

#[test]
fn a_flipped_byte_is_refused_or_changes_nothing() {
    for file in files() {
        let original = torch(file.clone());
        assert!(original.is_some());
        for (at, flip) in (0..file.len()).flat_map(|at| FLIPS.map(|flip| (at, flip))) {
            let mut damaged = file.clone();
            damaged[at] ^= flip;
            let found = torch(damaged);
            assert!(
                found.is_none() || found == original,
                "byte {at} of {}, flip {flip:#x}",
                file.len()
            );
        }
    }
}

/// A bare pickle has no checksum: another value may come out, and it too can be walked. Every fifth byte, another one in
/// each protocol.
#[test]
fn flipped_bytes_of_bare_pickles_never_panic() {
    let mut n_accepted = 0;
    for protocol in 2..=5_u8 {
        let file = fs::read(fixture(&format!("pickle/values.p{protocol}.pkl"))).unwrap();
        for at in (usize::from(protocol)..file.len()).step_by(5) {
            let mut damaged = file.clone();
            damaged[at] ^= FLIPS[at % 4];
            n_accepted += usize::from(bare(&damaged).is_some());
        }
    }
    assert!(n_accepted > 0);
}

/// Changes bytes, moves, drops or repeats a piece, or puts opcodes in, up to four times.
fn mutate(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..bytes.len());
        let end = (at + rng.random_range(1..=12)).min(bytes.len());
        match rng.random_range(0..5) {
            0 => bytes[at] = rng.random(),
            1 => bytes[at] = OPCODES[rng.random_range(0..OPCODES.len())],
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].repeat(rng.random_range(1..=40));
                let to = rng.random_range(0..=bytes.len());
                drop(bytes.splice(to..to, piece));
            }
            _ => bytes.insert(at, OPCODES[rng.random_range(0..OPCODES.len())]),
        }
        if bytes.is_empty() {
            bytes.push(rng.next_u32() as u8);
        }
    }
}

const OPCODES: &[u8] = b"(.012BCGJKMNQRTUX]abcehjqrstu}\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96)";

/// How many of `n` changed pickles were accepted; storages and checksums fit, so that every change reaches the machine.
fn run(n: usize, seed: u64) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let bases = ["arrays.p5.pkl", "values.p2.pkl", "values.p4.pkl"]
        .map(|name| fs::read(fixture("pickle").join(name)).unwrap());
    let view = pickle(
        &[
            &tensor(6, 0, &[2, 3], &[3, 1])[..],
            &tensor(6, 1, &[2], &[2]),
            b"\x86",
        ]
        .concat(),
    );
    let mut n_accepted = 0;
    for i in 0..n {
        let mut bytes = if i % 2 == 0 {
            view.clone()
        } else {
            bases[i / 2 % 3].clone()
        };
        mutate(&mut bytes, &mut rng);
        let found = if i % 2 == 0 {
            torch(Zip::torch(&bytes, &[&[0; 24]]).bytes())
        } else {
            bare(&bytes)
        };
        n_accepted += usize::from(found.is_some());
    }
    n_accepted
}

#[test]
fn random_changes_never_panic() {
    let n_accepted = run(10_000, 7200);
    assert!(n_accepted > 100 && n_accepted < 9_900, "{n_accepted}");
}

#[test]
#[ignore = "more than a minute; the command stands at the top of the file"]
fn a_million_random_changes_never_panic() {
    for seed in 0..10 {
        assert!(run(100_000, seed) > 0);
    }
}
