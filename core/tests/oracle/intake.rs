//! From raw bars to scaled rows and from raw bars to answers, as pytorch-forecasting's `predict` does both (in f32).

use super::Worst;
use super::fixture::{Array, Fixture, array};
use serde_json::Value;
use std::collections::BTreeMap;
use tickfuse_core::bundle::{
    Categories, Derived, Input, Normalizer, NormalizerSource, Output, OutputKind, Precision, Role, Scaler,
    Schema, Transform,
};
use tickfuse_core::plain::{Intake, Oracle, ScaledWindow};

/// Share of an array's range that the library's f32 columns leave.
const COLUMNS: f64 = 1e-6;
/// The same where it computes statistics of a window in f32: prices lie far from zero and vary little.
const WINDOW_STATISTICS: f64 = 1e-4;
/// The same of answers, whose net runs in f32, too.
const ANSWERS: f64 = 1e-5;
/// Suffix of the normalizer that undoes an answer, where it is not that of the input.
const ANSWER: &str = " of answers";

/// A net of the library with its data preparation and the bars it was asked about.
struct Case {
    fixture: Fixture,
    preparation: Value,
    schema: Schema,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key}: {value}"))
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key}: {value}"))
}

fn names(value: &Value) -> Vec<String> {
    let name = |v: &Value| v.as_str().expect("a name").to_string();
    match value {
        Value::String(one) => vec![one.clone()],
        many => many.as_array().expect("names").iter().map(name).collect(),
    }
}

fn categories(encoder: &Value) -> Categories {
    let classes = encoder["classes"].as_array().expect("classes");
    let label = |class: &Value| class["label"].as_str().unwrap_or("unknown").to_string();
    Categories {
        labels: classes.iter().map(label).collect(),
        unknown: encoder["add_nan"].as_bool().filter(|known| *known).map(|_| 0),
    }
}

fn scaler(statistics: &Value) -> Scaler {
    Scaler {
        center: number(statistics, "center"),
        scale: number(statistics, "scale"),
        fitted_ns: None,
    }
}

fn transform(value: &Value) -> Transform {
    match value["transformation"].as_str() {
        None => Transform::Identity,
        Some("softplus") => Transform::Softplus,
        Some("log1p") => Transform::Log1p,
        Some("relu") => Transform::Relu,
        Some(other) => panic!("another transform: {other}"),
    }
}

impl Case {
    fn open(name: &'static str) -> Self {
        let fixture = Fixture::open(name);
        let path = fixture.folder.join("preproc.json");
        let preparation: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("preproc.json"))
            .expect("preproc.json");
        let mut case = Self {
            schema: fixture.schema(Precision::F32, 1.0),
            fixture,
            preparation,
        };
        case.schema.inputs = case.inputs();
        case.schema.normalizers = case.normalizers();
        case.schema.outputs = case.outputs();
        case.schema.validate().expect(name);
        case
    }

    fn encoder(&self, column: &str) -> &Value {
        let bag = self.preparation["bags"].as_object().expect("bags");
        let bag = bag
            .iter()
            .find(|(_, columns)| names(columns).iter().any(|c| c == column));
        &self.preparation["encoders"][bag.map_or(column, |(bag, _)| bag.as_str())]
    }

    /// The columns of the library's arrays, and the series' names where no net reads them.
    fn inputs(&self) -> Vec<Input> {
        let mut inputs: Vec<Input> = self.fixture.inputs.iter().map(|i| self.input(i)).collect();
        for group in names(&self.preparation["group_ids"]) {
            if !inputs.iter().any(|i| i.name == group) {
                inputs.push(Input::categorical(&group, categories(self.encoder(&group))));
            }
        }
        inputs.sort_by_key(|i| i.derived.is_some());
        inputs
    }

    fn input(&self, scaled: &Input) -> Input {
        let name = scaled.name.as_str();
        if scaled.categories.is_some() {
            let categories = Some(categories(self.encoder(name)));
            return Input {
                categories,
                ..scaled.clone()
            };
        }
        let statistics = &self.preparation["scalers"][name];
        let target = |suffix: &str| name.strip_suffix(suffix).map(String::from);
        let derived = match name {
            "relative_time_idx" => Some(Derived::RelativeTime),
            "encoder_length" => Some(Derived::EncoderLength),
            _ => target("_center")
                .map(Derived::NormalizerCenter)
                .or(target("_scale").map(Derived::NormalizerScale)),
        };
        let normalized = self.preparation["normalizers"][name].is_object()
            || statistics["class"].as_str() == Some("GroupNormalizer");
        let scaler = match statistics {
            _ if normalized => None,
            Value::Null => Some(Scaler::IDENTITY),
            statistics => Some(scaler(statistics)),
        };
        Input {
            derived,
            scaled_by: normalized.then(|| name.to_string()),
            scaler,
            ..scaled.clone()
        }
    }

    fn normalizers(&self) -> Vec<Normalizer> {
        let of = |section: &str| self.preparation[section].as_object().expect("a table").clone();
        let targets: Vec<(String, Value)> = of("normalizers").into_iter().collect();
        let scalers = of("scalers").into_iter();
        let scalers = scalers.filter(|(_, s)| s["class"].as_str() == Some("GroupNormalizer"));
        let shifted = self.fixture.name == "pf_mixed";
        let inputs = targets.iter().cloned().chain(scalers);
        let mut all: Vec<Normalizer> = inputs.map(|(name, n)| self.normalizer(&name, &n, 0)).collect();
        if shifted {
            for (name, n) in &targets {
                let own = self.normalizer(name, n, 1);
                all.push(Normalizer {
                    name: format!("{name}{ANSWER}"),
                    ..own
                });
            }
        }
        all
    }

    /// `shift`: the library looks the scale of an answer up by a code of another encoder. Where the column's own one keeps 0
    /// for unknown series, that code is one lower, and of unknown series the last one.
    fn normalizer(&self, name: &str, found: &Value, shift: usize) -> Normalizer {
        let source = match text(found, "class") {
            "EncoderNormalizer" => NormalizerSource::Encoder {
                input: name.into(),
                epsilon: number(found, "epsilon"),
                center: found["center"].as_bool().expect("center"),
            },
            _ => NormalizerSource::Table {
                inputs: names(&found["groups"]),
                rows: self.table(found, shift),
            },
        };
        Normalizer {
            name: name.into(),
            source,
            transform: transform(found),
        }
    }

    fn table(&self, found: &Value, shift: usize) -> Vec<[f64; 2]> {
        let groups = names(&found["groups"]);
        let sizes: Vec<usize> = groups
            .iter()
            .map(|group| categories(self.encoder(group)).n_codes())
            .collect();
        let missing = &found["missing"];
        let n = sizes.iter().product();
        let mut rows = vec![[number(missing, "center"), number(missing, "scale")]; n];
        for entry in found["table"].as_array().expect("table") {
            let key = entry["key"].as_array().expect("key").iter().zip(&sizes);
            let row = key.fold(0, |row, (code, n)| {
                row * n + code.as_u64().expect("a code") as usize
            });
            rows[row] = [number(entry, "center"), number(entry, "scale")];
        }
        (0..n).map(|row| rows[(row + n - shift) % n]).collect()
    }

    fn bound(&self, input: &Input) -> f64 {
        let normalizer = input.scaled_by.as_ref();
        let found = normalizer.and_then(|name| self.schema.normalizers.iter().find(|n| n.name == *name));
        match found.map(|n| &n.source) {
            Some(NormalizerSource::Encoder { .. }) => WINDOW_STATISTICS,
            _ => COLUMNS,
        }
    }

    fn targets(&self) -> Vec<String> {
        names(&self.preparation["target"])
    }

    fn outputs(&self) -> Vec<Output> {
        let output = |target: String| {
            let quantiles: Array<f32> = self.predicted(&format!("quantiles.{target}"));
            let labels = (0..quantiles.shape[2]).map(|c| format!("c{c}")).collect();
            let own = format!("{target}{ANSWER}");
            let known = self.schema.normalizers.iter().any(|n| n.name == own);
            Output {
                normalizer: Some(if known { own } else { target.clone() }),
                ..Output::new(target, OutputKind::Linear, labels, "raw")
            }
        };
        self.targets().into_iter().map(output).collect()
    }

    fn predicted<T: npyz::Deserialize>(&self, name: &str) -> Array<T> {
        array(&self.fixture.folder.join("predict.npz"), name)
    }

    fn lengths(&self, i: usize) -> [usize; 2] {
        ["encoder_lengths", "decoder_lengths"].map(|name| self.predicted::<i64>(name).data[i] as usize)
    }

    /// The raw windows of `predict.npz` from the bars, `[rows, n_features]` each.
    fn windows(&self) -> Vec<Vec<f64>> {
        let bars = csv(&self.fixture, "frame.csv");
        let asked = csv(&self.fixture, "predict_index.csv");
        let window = |(i, asked): (usize, &BTreeMap<String, String>)| {
            let own = bars.iter().filter(|bar| bar["symbol"] == asked["symbol"]);
            let time = |bar: &BTreeMap<String, String>| bar["time_idx"].parse::<usize>().expect("a time");
            let ([n_encoder, n_decoder], first) = (self.lengths(i), time(asked));
            let wanted = first - n_encoder..first + n_decoder;
            let rows: Vec<_> = own.filter(|bar| wanted.contains(&time(bar))).collect();
            assert_eq!(rows.len(), n_encoder + n_decoder, "bars of {}", asked["symbol"]);
            rows.iter().flat_map(|bar| self.raw(bar)).collect()
        };
        asked.iter().enumerate().map(window).collect()
    }

    fn raw(&self, bar: &BTreeMap<String, String>) -> Vec<f64> {
        let handed_in = self.schema.inputs.iter().filter(|i| i.derived.is_none());
        let value = |input: &Input| match &input.categories {
            Some(categories) => categories.code(&bar[&input.name]).expect(&input.name) as f64,
            None => bar[&input.name].parse().expect(&input.name),
        };
        handed_in.map(value).collect()
    }

    /// Column `name` of window `i` in the rows that are read: the oracle's, and the library's.
    fn column(&self, i: usize, input: &Input, scaled: &ScaledWindow) -> Option<(Vec<f64>, Vec<f64>)> {
        let categorical = input.categories.is_some();
        let (kind, columns) = if categorical {
            ("cat", names(&self.preparation["categoricals"]))
        } else {
            ("cont", names(&self.preparation["reals"]))
        };
        let theirs = columns.iter().position(|name| *name == input.name)?;
        let same_kind = self.schema.inputs.iter();
        let mut same_kind = same_kind.filter(|other| other.categories.is_some() == categorical);
        let place = same_kind.position(|other| other.name == input.name)?;
        let [n_encoder, n_decoder] = self.lengths(i);
        let read = match input.role {
            Role::Static => 0..1,
            Role::Observed => 0..n_encoder,
            Role::Known => 0..n_encoder + n_decoder,
        };
        let own = |row: usize| match categorical {
            true => scaled.codes[row][place] as f64,
            false => scaled.reals[row][place],
        };
        let library = |row: usize| {
            let (part, row) = match row < n_encoder {
                true => ("encoder", row),
                false => ("decoder", row - n_encoder),
            };
            let name = format!("{part}_{kind}");
            if categorical {
                let array: Array<i64> = self.predicted(&name);
                return array.at(i)[row * columns.len() + theirs] as f64;
            }
            let array: Array<f32> = self.predicted(&name);
            f64::from(array.at(i)[row * columns.len() + theirs])
        };
        Some((read.clone().map(own).collect(), read.map(library).collect()))
    }
}

fn csv(fixture: &Fixture, file: &str) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(fixture.folder.join(file)).expect(file);
    let mut lines = text.lines().map(|line| line.split(',').map(String::from));
    let header: Vec<String> = lines.next().expect("a header").collect();
    lines
        .map(|line| header.iter().cloned().zip(line).collect())
        .collect()
}

fn cases() -> Vec<Case> {
    ["pf_reals", "pf_mixed", "pf_shared", "pf_auto"]
        .map(Case::open)
        .into()
}

#[test]
fn raw_bars_become_the_scaled_rows_of_pytorch_forecasting() {
    for case in cases() {
        let (mut worst, intake) = (Worst::default(), Intake::new(&case.schema));
        let mut n_columns = 0;
        for (i, window) in case.windows().iter().enumerate() {
            let [n_encoder, n_decoder] = case.lengths(i);
            let (scaled, _) = intake.read(window, n_encoder, n_decoder);
            for input in &case.schema.inputs {
                let Some((own, library)) = case.column(i, input, &scaled) else {
                    continue;
                };
                let what = format!("{} window {i} {}", case.fixture.name, input.name);
                worst.check(&what, &own, &library, case.bound(input));
                n_columns += 1;
            }
        }
        assert_eq!(n_columns, case.fixture.inputs.len() * case.windows().len());
        worst.report(&format!("{}, intake", case.fixture.name));
    }
}

#[test]
fn raw_bars_are_answered_as_pytorch_forecasting_predicts() {
    for case in cases() {
        let oracle = Oracle::new(&case.schema, &case.fixture.tensors);
        let mut worst = Worst::default();
        for (i, window) in case.windows().iter().enumerate() {
            let [n_encoder, n_decoder] = case.lengths(i);
            let found = oracle.run_lengths(window, n_encoder, n_decoder);
            let mut from = 0;
            for output in &case.schema.outputs {
                let n = output.labels.len();
                let rows = found.chunks_exact(case.schema.n_columns());
                let own: Vec<f64> = rows.flat_map(|row| row[from..from + n].to_vec()).collect();
                let library: Array<f32> = case.predicted(&format!("quantiles.{}", output.name));
                let expected: Vec<f64> = library.at(i)[..own.len()].iter().map(|v| f64::from(*v)).collect();
                worst.check(
                    &format!("{} window {i} {}", case.fixture.name, output.name),
                    &own,
                    &expected,
                    ANSWERS,
                );
                from += n;
            }
        }
        worst.report(&format!("{}, from bars to answers", case.fixture.name));
    }
}

#[test]
fn cells_that_no_net_reads_are_unusable() {
    let case = Case::open("pf_mixed");
    let [n_encoder, n_decoder] = case.lengths(0);
    let mut window = case.windows().swap_remove(0);
    let (first, _) = Intake::new(&case.schema).read(&window, n_encoder, n_decoder);
    let n_features = case.schema.n_features();
    for (column, input) in case.schema.inputs.iter().enumerate().take(n_features) {
        for row in 0..n_encoder + n_decoder {
            let unread = match input.role {
                Role::Static => row > 0,
                Role::Observed => row >= n_encoder,
                Role::Known => false,
            };
            if unread {
                window[row * n_features + column] = f64::NAN;
            }
        }
    }
    let (again, _) = Intake::new(&case.schema).read(&window, n_encoder, n_decoder);
    assert_eq!(first.codes, again.codes);
    let bits = |w: &ScaledWindow| w.reals.concat().iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
    assert_eq!(bits(&first), bits(&again));
    let observed = |name: &str| {
        let mut reals = case.schema.inputs.iter().filter(|i| i.categories.is_none());
        reals.position(|i| i.name == name).expect(name)
    };
    assert!(again.reals[n_encoder][observed("ret")].is_nan());
    assert!(again.reals[n_encoder - 1][observed("ret")].is_finite());
    assert!(again.reals[1][observed("market_cap")].is_nan());
}

fn message(result: std::thread::Result<()>) -> String {
    let payload = result.expect_err("a refusal");
    payload.downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn codes_out_of_range_and_missing_values_are_refused_by_place() {
    let case = Case::open("pf_mixed");
    let lengths = case.lengths(0);
    let place = |name: &str| {
        case.schema
            .inputs
            .iter()
            .position(|i| i.name == name)
            .expect(name)
    };
    let read = |name: &str, row: usize, value: f64| {
        let mut window = case.windows().swap_remove(0);
        window[row * case.schema.n_features() + place(name)] = value;
        std::panic::catch_unwind(|| drop(Intake::new(&case.schema).read(&window, lengths[0], lengths[1])))
    };
    assert_eq!(
        message(read("weekday", 3, 5.0)),
        "row 3, column `weekday`: expected a code below 5, found 5"
    );
    assert_eq!(
        message(read("ret", 2, f64::NAN)),
        "row 2, column `ret`: expected a finite value, found NaN"
    );
    // `regime` has a code for unknown names.
    assert!(read("regime", 1, 0.5).is_ok());
}
