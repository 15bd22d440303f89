//! The example order router: it follows the registry while bars arrive, and says what is wrong with its input.

use crate::compiler::{RACES, compiler, cpp_compilers, has_sanitizers, link};
use crate::library::libraries;
use crate::live::{of_bars, with_lookback};
use crate::models;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tickfuse_core::features::{Bar, FeatureOp};
use tickfuse_core::{Model, OpenOptions, Step, Stream};

const N_BARS: usize = 600;
const SYMBOLS: [&str; 2] = ["AAA", "BBB"];

/// The program, watched by ThreadSanitizer where there is one.
fn built(folder: &Path) -> Option<PathBuf> {
    let (name, standard) = cpp_compilers().next()?;
    let program = folder.join("router");
    let mut command = compiler(name, standard);
    if has_sanitizers(name, &RACES, folder) {
        command.args(RACES);
    }
    command.arg("../../examples/router.cpp");
    link(&mut command, &libraries().fixed, &program);
    Some(program)
}

/// A folder of the registry with two versions, the first of which is the best.
fn registry(folder: &Path) -> PathBuf {
    let (schema, _) = models::small_models().swap_remove(0);
    let mut first = of_bars(
        schema,
        [FeatureOp::LogRet { lag: 2 }, FeatureOp::SmaRatio { n: 4 }],
    );
    first.bar_interval_ns = None;
    let mut second = with_lookback(first.clone(), 11);
    second.inputs[1].feature = Some(FeatureOp::HighLowRange);
    let root = folder.join("models/small");
    for (i, schema) in [first, second].iter().enumerate() {
        let version = root.join(format!("versions/{i}"));
        std::fs::create_dir_all(&version).unwrap();
        let bytes = models::file(schema, &models::tensors(schema, 40 + i as u64));
        std::fs::write(version.join("model.safetensors"), bytes).unwrap();
    }
    symlink("versions/0", root.join("best")).unwrap();
    root
}

fn bars(seed: u64) -> Vec<Bar> {
    let bar = |i: usize| {
        let close = 5.0 + 4.0 * f64::from(models::noise(seed, i));
        Bar {
            ts_ns: i as i64 * 60_000_000_000,
            open: close,
            high: close * 1.5,
            low: close * 0.5,
            close,
            volume: 1.0,
        }
    };
    (0..N_BARS).map(bar).collect()
}

fn csv(symbol: &str, bars: &[Bar]) -> String {
    let mut text = String::from("ts,symbol,open,high,low,close,volume\n");
    for b in bars {
        let (ts, close) = (b.ts_ns / 1_000_000, b.close);
        writeln!(
            text,
            "{ts},{symbol},{},{},{},{close},{}",
            b.open, b.high, b.low, b.volume
        )
        .unwrap();
    }
    text
}

/// The first output of a stream that saw every bar, by time.
fn answers(model: &Model, stream: &mut Stream, bars: &[Bar]) -> BTreeMap<i64, f32> {
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut found = BTreeMap::new();
    for bar in bars {
        if let Step::Answer(_) = stream.push_bar(bar, &mut out).unwrap() {
            found.insert(bar.ts_ns / 1_000_000, out[0]);
        }
    }
    found
}

/// What each model answers for each symbol, by the first digits of its hash.
fn expected(root: &Path) -> BTreeMap<(String, String), BTreeMap<i64, f32>> {
    let mut all = BTreeMap::new();
    for version in ["0", "1"] {
        let path = root.join("versions").join(version).join("model.safetensors");
        let model = Model::open(&path, OpenOptions::default()).unwrap();
        for (symbol, seed) in SYMBOLS.iter().zip(0..) {
            let mut stream = Stream::new(&model).unwrap();
            let found = answers(&model, &mut stream, &bars(seed));
            all.insert((model.hash()[..8].to_owned(), (*symbol).to_owned()), found);
        }
    }
    all
}

/// For each model the value that half of its answers exceed, the smaller one first.
fn middles(expected: &BTreeMap<(String, String), BTreeMap<i64, f32>>) -> [String; 2] {
    let mut by_model: BTreeMap<&String, Vec<f32>> = BTreeMap::new();
    for ((model, _), by_time) in expected {
        by_model.entry(model).or_default().extend(by_time.values());
    }
    let middle = |mut values: Vec<f32>| {
        values.sort_by(f32::total_cmp);
        values[values.len() / 2]
    };
    let mut found: Vec<f32> = by_model.into_values().map(middle).collect();
    found.sort_by(f32::total_cmp);
    [found[0].to_string(), found[1].to_string()]
}

/// Runs the router and moves the alias once it says that it runs.
fn routed(program: &Path, root: &Path, arguments: &[String]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    told.read_line(&mut text).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    symlink("versions/1", root.join(".best")).unwrap();
    std::fs::rename(root.join(".best"), root.join("best")).unwrap();
    told.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    text
}

#[test]
#[cfg(unix)]
fn the_router_follows_the_registry_and_its_orders_are_those_of_streams_that_saw_every_bar() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = built(folder.path()) else {
        return;
    };
    let root = registry(folder.path());
    let expected = expected(&root);
    let [short, long] = middles(&expected);
    let orders = folder.path().join("orders.csv");
    let mut arguments: Vec<String> = ["--speed", "400", "--peeks", "1", "--output", "y.a"]
        .map(String::from)
        .into();
    arguments.extend(["--long", &long, "--short", &short, "--orders"].map(String::from));
    arguments.extend([&orders, &root].map(|path| path.to_str().unwrap().to_owned()));
    for (symbol, seed) in SYMBOLS.iter().zip(0..) {
        let path = folder.path().join(format!("{symbol}.csv"));
        std::fs::write(&path, csv(symbol, &bars(seed))).unwrap();
        arguments.push(path.to_str().unwrap().to_owned());
    }
    let told = routed(&program, &root, &arguments);
    check_summary(&told);
    check_orders(&std::fs::read_to_string(orders).unwrap(), &expected);
}

/// Both models answered, both symbols took the swap, and nothing was refused.
fn check_summary(told: &str) {
    let answers: Vec<u64> = told
        .lines()
        .filter_map(|line| line.strip_prefix("model ")?.split(' ').nth(1)?.parse().ok())
        .collect();
    assert!(answers.len() == 2 && answers.iter().all(|n| *n > 0), "{told}");
    let counts = ", swaps 2, models not taken 0, refused 0, out of range 0";
    assert!(told.contains(counts), "{told}");
    for line in [
        "push (",
        "peek (",
        "first step after a swap (2)",
        "swap (2)",
        "prepare (",
    ] {
        assert!(told.contains(&format!("\n{line}")), "{line} in {told}");
    }
}

/// Every order has the value that its model gives for the bar, and each symbol changes models once.
fn check_orders(orders: &str, expected: &BTreeMap<(String, String), BTreeMap<i64, f32>>) {
    let mut models: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut n_pushed = 0;
    for line in orders.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [ts, symbol, bar, position, value, _, model] = fields[..] else {
            panic!("{line}")
        };
        let by_time = &expected[&(model.to_owned(), symbol.to_owned())];
        let value: f32 = value.parse().unwrap();
        assert!(["long", "short", "flat"].contains(&position), "{line}");
        if bar == "whole" {
            assert_eq!(by_time[&ts.parse().unwrap()].to_bits(), value.to_bits(), "{line}");
            n_pushed += 1;
        }
        let of_symbol = models.entry(symbol.to_owned()).or_default();
        if of_symbol.last().is_none_or(|last| last != model) {
            of_symbol.push(model.to_owned());
        }
    }
    let both: BTreeSet<&String> = models.values().flatten().collect();
    assert_eq!((models.len(), both.len()), (2, 2), "{orders}");
    assert!(
        models.values().all(|of_symbol| of_symbol.len() == 2),
        "{models:?}"
    );
    assert!(n_pushed > 20, "{n_pushed} orders of whole bars in {orders}");
}

#[test]
#[cfg(unix)]
fn the_router_names_file_and_line_of_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = built(folder.path()) else {
        return;
    };
    let root = registry(folder.path());
    let file = folder.path().join("AAA.csv");
    let complaint = |text: &str, arguments: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let output = Command::new(&program)
            .args(arguments)
            .arg(&root)
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        String::from_utf8(output.stderr).unwrap()
    };
    let good = csv("AAA", &bars(0)[..2]);
    let cases = [
        ("", ": expected a line of column names"),
        ("ts,open,high,low,close\n", ":1: expected a column volume"),
        (
            "ts,open,high,low,close,volume,vwap\n",
            ":1: column vwap is none of",
        ),
        (
            "ts,ts,open,high,low,close,volume\n",
            ":1: column ts is there twice",
        ),
        ("ts,open,high,low,close,volume\n", ": expected bars, found none"),
        (
            &format!("{good}120000,AAA,1,2,1\n"),
            ":4: expected 7 fields, found 5",
        ),
        (
            &format!("{good}120000,AAA,1,2,1,x,0\n"),
            ":4: close: expected a number, found \"x\"",
        ),
        (
            &format!("{good}120000,AAA,1,2,1,nan,0\n"),
            ":4: close: expected a number",
        ),
        (
            &format!("{good}120000,BBB,1,2,1,1,0\n"),
            ":4: symbol: expected AAA",
        ),
        (
            &format!("{good}60000,AAA,1,2,1,1,0\n"),
            ":4: ts: expected a bar later",
        ),
        (
            &format!("{good}soon,AAA,1,2,1,1,0\n"),
            ":4: ts: expected milliseconds",
        ),
        (
            &format!("{good}120000,AAA,1,2,3,1,0\n"),
            ":4: expected 0 < low <= open",
        ),
    ];
    for (text, expected) in cases {
        let found = complaint(text, &[]);
        assert!(found.contains(&format!("AAA.csv{expected}")), "{found}");
    }
    let found = complaint(&good, &["--output", "y.z"]);
    assert!(found.contains("the model has: y.a, y.b, y.c"), "{found}");
    assert!(complaint(&good, &["--alias", "worst"]).contains("small/worst: expected a symlink"));
    assert!(complaint(&good, &["--speed", "fast"]).contains("--speed: expected a number"));
    assert!(complaint(&good, &["--colour", "red"]).contains("no option --colour"));
    std::fs::remove_dir_all(root.join("versions")).unwrap();
    assert!(complaint(&good, &["--output", "y.a"]).contains("versions/0/model.safetensors"));
}
