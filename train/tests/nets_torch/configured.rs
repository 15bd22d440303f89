//! The losses of the fixtures as a configuration file states them, against their plain formulas: value and slope.

use crate::labels::{Labels, loss as formula, slopes};
use tickfuse_train::losses::{Answers, Loss};

/// The configuration that states the loss called `name`, with the columns in the order of the nets.
fn configuration(name: &str) -> Loss {
    let sharpe = r#"{ kind = "sharpe", position = { map = "tanh", column = 0 }, burn_in = 4 }"#;
    let seed = |position: &str| {
        format!(
            r#"{{ kind = "sharpe", position = {position}, divisor = "sample", guard = {{ fallback = {{}} }} }}"#
        )
    };
    let joint = |terms: &[(f64, &str)]| {
        let list: Vec<String> = terms
            .iter()
            .map(|(weight, loss)| format!("{{ weight = {weight:?}, loss = {loss} }}"))
            .collect();
        format!(r#"{{ kind = "joint", terms = [{}] }}"#, list.join(", "))
    };
    let levels_13 = "[0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]";
    let text = match name {
        "class_and_quantiles" => joint(&[
            (
                1.0,
                r#"{ kind = "cross_entropy", classes = ["sell", "hold", "buy"] }"#,
            ),
            (
                0.5,
                r#"{ kind = "pinball", levels = [0.1, 0.5, 0.9], column = 3, label = 1 }"#,
            ),
        ]),
        "pinball_sum" => r#"{ kind = "pinball", levels = [0.1, 0.5, 0.9], over_levels = "sum" }"#.to_owned(),
        "pinball_doubled" => r#"{ kind = "pinball", levels = [0.1, 0.5, 0.9], factor = 2.0 }"#.to_owned(),
        "momentum_sharpe" => sharpe.replace(", burn_in = 4", ""),
        "position_sharpe" => sharpe.to_owned(),
        "gaussian_joint" => joint(&[
            (1.0, sharpe),
            (
                1.0,
                r#"{ kind = "gaussian_nll", gaussian = { mean = 1, deviation = 2, scale = "softplus" }, burn_in = 4 }"#,
            ),
        ]),
        "quantile_joint" => joint(&[
            (1.0, sharpe),
            (
                5.0,
                &format!(r#"{{ kind = "pinball", levels = {levels_13}, column = 1, burn_in = 4 }}"#),
            ),
        ]),
        "last_step_sharpe" => seed(r#"{ map = "tanh", column = 0 }"#),
        "shared_joint" => joint(&[
            (
                1.0,
                &seed(r#"{ map = "gaussian", gaussian = { mean = 1, deviation = 2, scale = "log" } }"#),
            ),
            (
                0.1,
                r#"{ kind = "gaussian_nll", gaussian = { mean = 1, deviation = 2, scale = "log" } }"#,
            ),
        ]),
        other => panic!("no loss `{other}`"),
    };
    let config: toml::Table = toml::from_str(&format!("loss = {text}")).unwrap();
    config["loss"].clone().try_into().unwrap()
}

/// Value and slope at the answers `out` of shape `[batch, columns]` or `[steps, batch, columns]`.
pub(crate) fn agrees(name: &str, shape: &[usize], out: &[f64], labels: &Labels) {
    let loss = configuration(name);
    loss.validate().unwrap();
    let answers = Answers::new(shape, out.to_vec(), labels.y.clone());
    let (n_steps, n_columns) = (answers.n_steps(), answers.n_columns());
    loss.check_sizes(n_steps, n_columns, labels.y.len() / labels.batch)
        .unwrap();
    let mut slope = vec![0.0; out.len()];
    let value = loss.add_slope(&answers, labels.batch, &mut slope);
    let expected = formula(name, out, labels);
    assert!(
        (value - expected).abs() < 1e-9,
        "{name}: {value}, formula {expected}"
    );
    let expected = slopes(out, |out| formula(name, out, labels));
    let largest = expected.iter().fold(0.0f64, |m, s| m.max(s.abs()));
    for (i, (found, expected)) in slope.iter().zip(&expected).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-6 * largest,
            "{name}: slope {i}: {found}, formula {expected}"
        );
    }
}
