//! Every family from real bars to a measured model file, by its example configuration made small.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tickfuse_core::bundle::{Arrival, Net, NormalizerSource, OutputKind, Role};
use tickfuse_core::features::{Bar, FeatureDef, FeatureOp};
use tickfuse_core::{Model, OpenOptions, Step, Stream, nets};
use tickfuse_train::assemble::assemble;
use tickfuse_train::data::bars::{self, ReadOptions};
use tickfuse_train::data::snapshot;
use tickfuse_train::experiment::{Experiment, FeaturesConfig, Finished, TrainConfig};
use tickfuse_train::fit::Outcome;
use tickfuse_train::latency::{LatencyOptions, LatencyReport, Mode, measure};
use tickfuse_train::metrics::scores::Scores;
use tickfuse_train::predict;

/// Daily bars of two indices; features of the X-Trend example, and the day of the week, which the future knows too.
fn experiment(example: &str, change: impl Fn(&mut toml::Table)) -> (tempfile::TempDir, Experiment) {
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/data");
    let files = ["NASDAQ", "SP500"].map(|name| data.join(format!("{name}.1d.parquet")));
    let made = snapshot::create(folder.path(), &files, &ReadOptions::default()).unwrap();
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.toml"));
        std::fs::read_to_string(path)
            .unwrap()
            .parse::<toml::Table>()
            .unwrap()
    };
    let mut text = read(example);
    let features: FeaturesConfig = read("xtrend")["features"].clone().try_into().unwrap();
    let FeaturesConfig::List(mut list) = features else {
        panic!("the example lists its features");
    };
    let week = r#"{ "name": "week_sin", "op": { "calendar": { "cycle": "day_of_week", "wave": "sin" } } }"#;
    list.push(serde_json::from_str::<FeatureDef>(week).unwrap());
    text.insert(
        "features".into(),
        toml::Value::try_from(FeaturesConfig::List(list)).unwrap(),
    );
    text["data"]["snapshot"] = made.path.to_str().unwrap().into();
    text["data"]["max_missing_bars"] = 6.into();
    text["window"]["lookback"] = 12.into();
    text["net"]["n_hidden"] = 8.into();
    text["net"]["dropout"] = 0.0.into();
    text["fit"]["epochs"] = 1.into();
    text["fit"]["batch"] = 512.into();
    change(&mut text);
    let config: TrainConfig = text.try_into().unwrap();
    (folder, Experiment::prepare(config).unwrap())
}

fn fitted(folder: &Path, experiment: &Experiment) -> (Outcome, Finished) {
    let stop = AtomicBool::new(false);
    let outcome = experiment
        .fit(None, &folder.join("checkpoint"), &stop, &mut ())
        .unwrap();
    let finished = experiment.finish(&outcome).unwrap();
    (outcome, finished)
}

/// What the fit saw of the validation part, and what the model file answers.
fn seen_and_served(outcome: &Outcome, finished: &Finished) -> (Scores, Scores) {
    let best = outcome.state.early.best_epoch;
    (
        outcome.state.history[best].valid.clone(),
        finished.validation.clone(),
    )
}

/// What one unit of a trained label is in the file's answers.
fn experiment_unit(finished: &Finished) -> f64 {
    let model = Model::from_bytes(&finished.bytes, OpenOptions::default()).unwrap();
    match model.schema().normalizers[0].source {
        NormalizerSource::Fixed { scale, .. } => scale,
        _ => panic!("a fixed normalizer"),
    }
}

fn near(a: f64, b: f64, what: &str) {
    assert!(
        (a - b).abs() <= 1e-4 * a.abs().max(1e-3),
        "{what}: the fit saw {a}, the file answers {b}"
    );
}

#[test]
fn classes_and_quantiles_are_served_as_they_were_trained() {
    let (folder, experiment) = experiment("quantile_tft", |text| {
        text["net"]["n_heads"] = 2.into();
    });
    let (outcome, finished) = fitted(folder.path(), &experiment);
    let (seen, served) = seen_and_served(&outcome, &finished);
    let [a, b] = [&seen, &served].map(|s| s.classes.as_ref().unwrap());
    near(a.cross_entropy, b.cross_entropy, "cross-entropy");
    let model = Model::from_bytes(&finished.bytes, OpenOptions::default()).unwrap();
    assert!(
        matches!(&model.schema().net, Net::QuantileTft(net) if net.n_classes == 3 && net.n_quantiles == 3)
    );
    // The fit counts in deviations of the training labels, the file answers in log returns.
    let [a, b] = [&seen, &served].map(|s| s.quantiles.as_ref().unwrap());
    near(
        a.pinball / a.base_pinball,
        b.pinball / b.base_pinball,
        "pinball beside the constant's",
    );
    assert!(b.pinball < 0.1 * a.pinball);
    near(a.calibration_error, b.calibration_error, "coverage error");
    assert_eq!(model.schema().normalizers.len(), 1);
    assert_eq!(model.schema().outputs[1].unit, "log_return");
}

#[test]
fn a_forecast_of_several_bars_reads_what_is_known_of_them() {
    let (folder, experiment) = experiment("tft_quantiles", |text| {
        text["net"]["n_heads"] = 2.into();
        text["window"]["horizon"] = 3.into();
        text["net"]["n_ahead"] = 3.into();
    });
    let (outcome, finished) = fitted(folder.path(), &experiment);
    let (seen, served) = seen_and_served(&outcome, &finished);
    let [a, b] = [&seen, &served].map(|s| s.quantiles.as_ref().unwrap());
    // After one epoch quantiles still cross. The file sorts them, which changes no count between neighbours.
    assert_eq!((a.n, b.crossing_rate), (b.n, 0.0));
    a.between
        .iter()
        .zip(&b.between)
        .for_each(|(a, b)| near(*a, *b, "share between quantiles"));
    near(
        a.base_pinball * experiment_unit(&finished),
        b.base_pinball,
        "pinball of the constant",
    );
    let model = Model::from_bytes(&finished.bytes, OpenOptions::default()).unwrap();
    assert_eq!((model.schema().n_rows(), model.schema().n_steps()), (15, 3));
    let answers = predicted(&model, "NASDAQ");
    assert_eq!(answers.names.len(), 3 * 5);
    assert!(!answers.is_empty() && answers.values.iter().all(|v| v.is_finite()));
    assert_eq!(pushed(&model, "NASDAQ"), answers.values);
    let Net::Tft(net) = &model.schema().net else {
        panic!("a tft")
    };
    assert_eq!(
        net.decoder_variables
            .iter()
            .map(|v| v.name.as_str())
            .collect::<Vec<_>>(),
        ["week_sin"]
    );
    assert_eq!(
        (model.schema().arrival, arrival(&model).prepare_ns.is_some()),
        (Arrival::PreRolled, true)
    );
    let refused = predict::bars(&with_known_price(&model), "NASDAQ", &newest_bars(), Some(6));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "input `week_sin` is known in advance, and the times of bars do not tell it: give whole windows instead"
    );
}

fn arrival(model: &Arc<Model>) -> LatencyReport {
    let options = LatencyOptions {
        mode: Mode::Arrival,
        cold: false,
        n: 3,
        warmup: 1,
        cpu: None,
    };
    measure(model, options).unwrap()
}

/// The same model, were the price known in advance.
fn with_known_price(model: &Model) -> Arc<Model> {
    let mut schema = model.schema().clone();
    let known = schema.inputs.iter_mut().find(|i| i.role == Role::Known);
    known.unwrap().feature = Some(FeatureOp::Close);
    let bytes = assemble(&schema, &nets::unpack(model.bundle()).unwrap()).unwrap();
    Model::from_bytes(&bytes, OpenOptions::default()).unwrap()
}

/// The newest bars of a series.
fn newest_bars() -> Vec<Bar> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/data/SP500.1d.parquet");
    let series = bars::read(&path, &ReadOptions::default()).unwrap().series;
    series[0].bars[series[0].bars.len() - 120..].to_vec()
}

/// Answers for their windows under a name.
fn predicted(model: &Arc<Model>, symbol: &str) -> predict::Answers {
    predict::bars(model, symbol, &newest_bars(), Some(6)).unwrap()
}

/// What a stream answers to the same bars.
fn pushed(model: &Arc<Model>, symbol: &str) -> Vec<f32> {
    let mut stream = Stream::new(model).unwrap();
    stream.set_max_missing_bars(6);
    stream.set_category("symbol", symbol).unwrap();
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut all = Vec::new();
    for bar in newest_bars() {
        stream.prepare();
        if let Step::Answer(_) = stream.push_bar(&bar, &mut out).unwrap() {
            all.extend_from_slice(&out);
        }
    }
    all
}

#[test]
fn positions_are_trained_beside_contexts_that_the_file_carries() {
    let (folder, experiment) = experiment("xtrend", |text| {
        text["net"]["n_heads"] = 2.into();
        text["net"]["context_lookback"] = 6.into();
        text["net"]["n_contexts"] = 4.into();
        for term in text["fit"]["loss"]["terms"].as_array_mut().unwrap() {
            term["loss"]["burn_in"] = 2.into();
        }
    });
    let (_, finished) = fitted(folder.path(), &experiment);
    let model = Model::from_bytes(&finished.bytes, OpenOptions::default()).unwrap();
    let kinds: Vec<OutputKind> = model.schema().outputs.iter().map(|o| o.kind).collect();
    assert_eq!(kinds, [OutputKind::Tanh, OutputKind::GaussianSoftplus]);
    let test = finished.test.unwrap();
    assert!(test.portfolio.unwrap().sharpe.is_some() && test.gaussian.unwrap().nll.is_finite());
    let [known, stranger] = ["SP500", "NEVER"].map(|symbol| predicted(&model, symbol));
    assert_eq!([known.unknown_category, stranger.unknown_category], [false, true]);
    assert!(!known.is_empty() && known.values != stranger.values);
    let n_features = model.schema().n_features() - 1;
    let contexts = model
        .bundle()
        .tensor::<f32>("contexts.input", &[4, 6, n_features + 1])
        .unwrap();
    assert!(contexts.iter().all(|v| v.is_finite()));
}

#[test]
fn the_shared_form_answers_the_position_of_its_gaussian() {
    let (folder, experiment) = experiment("xtrend", |text| {
        text["net"]["form"] = "shared".into();
        text["net"]["n_heads"] = 2.into();
        text["net"]["context_lookback"] = 6.into();
        text["net"]["n_contexts"] = 4.into();
        let loss = r#"
            kind = "joint"
            terms = [
                { weight = 1.0, loss = { kind = "sharpe", guard = { fallback = {} }, divisor = "sample", position = { map = "gaussian", gaussian = { mean = 1, deviation = 2, scale = "log" } } } },
                { weight = 1.0, loss = { kind = "gaussian_nll", gaussian = { mean = 1, deviation = 2, scale = "log" } } },
            ]"#;
        text["fit"]["loss"] = toml::Value::Table(loss.parse().unwrap());
    });
    let (_, finished) = fitted(folder.path(), &experiment);
    let model = Model::from_bytes(&finished.bytes, OpenOptions::default()).unwrap();
    let kinds: Vec<OutputKind> = model.schema().outputs.iter().map(|o| o.kind).collect();
    assert_eq!(kinds, [OutputKind::Linear, OutputKind::GaussianLogSigma]);
    assert!(finished.validation.portfolio.unwrap().exposure > 0.0);
}

#[test]
fn a_loss_that_misreads_its_labels_is_refused_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/data/SP500.1d.parquet");
    let made = snapshot::create(folder.path(), &[data], &ReadOptions::default()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quantile_tft.toml");
    let mut text: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    text["features"] = toml::Value::Table("set = \"seed-000\"".parse().unwrap());
    text["data"]["snapshot"] = made.path.to_str().unwrap().into();
    text["fit"]["loss"]["terms"][1]["loss"]["label"] = 0.into();
    let config: TrainConfig = text.clone().try_into().unwrap();
    let error = Experiment::prepare(config).unwrap_err().to_string();
    assert!(
        error.contains("expected a return, found the classes sell, hold, buy"),
        "{error}"
    );
    text["fit"]["loss"]["terms"][1]["loss"]["label"] = 1.into();
    text["fit"]["loss"]["terms"][0]["loss"]["classes"] = vec!["buy", "hold", "sell"].into();
    let config: TrainConfig = text.try_into().unwrap();
    let error = Experiment::prepare(config).unwrap_err().to_string();
    assert!(error.contains("expected the classes"), "{error}");
}

#[test]
fn an_lstm_forecasts_a_gaussian_in_the_units_of_the_return() {
    let (folder, experiment) = experiment("minute", |text| {
        text.insert(
            "labels".into(),
            toml::Value::Array(vec![toml::Value::Table(r#"kind = "return""#.parse().unwrap())]),
        );
        let fit = text["fit"].as_table_mut().unwrap();
        fit.remove("monitor");
        let loss = "kind = \"gaussian_nll\"\ngaussian = { mean = 0, deviation = 1, scale = \"softplus\" }";
        fit.insert("loss".into(), toml::Value::Table(loss.parse().unwrap()));
    });
    let (outcome, finished) = fitted(folder.path(), &experiment);
    let (seen, served) = seen_and_served(&outcome, &finished);
    let [a, b] = [&seen, &served].map(|s| s.gaussian.as_ref().unwrap());
    // A density in other units: the logarithm of the unit lies between them.
    near(a.nll + experiment_unit(&finished).ln(), b.nll, "likelihood");
    near(a.coverage, b.coverage, "coverage");
}
