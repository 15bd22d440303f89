//! The card for people: Markdown with every figure beside its baseline and a plain sentence on skill.

use super::{Baseline, Better, Latency, Metrics, Mode, ModelCard};
use std::fmt::Write;
use tickfuse_core::bundle::Precision;

/// What a figure says against its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Beats,
    WithinNoise,
    DoesNotBeat,
    NoBaseline,
}

impl Verdict {
    fn text(self) -> &'static str {
        match self {
            Self::Beats => "beats the baseline",
            Self::WithinNoise => "within chance of the baseline",
            Self::DoesNotBeat => "does not beat the baseline",
            Self::NoBaseline => "no baseline",
        }
    }
}

/// Lines of a Markdown document. Writing to a `String` cannot fail.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}");
    }

    fn heading(&mut self, text: &str) {
        let _ = writeln!(self.0, "\n## {text}\n");
    }

    fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.line(&format!("| {} |", head.join(" | ")));
        self.line(&format!("|{}", "---|".repeat(head.len())));
        for row in rows {
            let cells: Vec<_> = row.iter().map(|cell| escaped(cell)).collect();
            self.line(&format!("| {} |", cells.join(" | ")));
        }
    }

    /// A two-column table of what is there.
    fn facts(&mut self, facts: &[(&str, Option<String>)]) {
        let rows: Vec<_> = facts
            .iter()
            .filter_map(|(key, value)| value.clone().map(|v| vec![(*key).to_owned(), v]))
            .collect();
        self.table(&["", ""], &rows);
    }
}

impl ModelCard {
    /// The card as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut page = Page::default();
        page.line(&format!("# {}", escaped(&self.model_name)));
        self.identity(&mut page);
        self.use_and_limits(&mut page);
        self.skill(&mut page);
        self.latency(&mut page);
        self.outputs(&mut page);
        self.data(&mut page);
        self.network(&mut page);
        page.0
    }

    fn identity(&self, page: &mut Page) {
        page.line("");
        page.facts(&[
            ("made", Some(self.created_at.clone())),
            ("file sha-256", self.file.as_ref().map(|f| f.sha256.clone())),
            (
                "file size",
                self.file.as_ref().map(|f| format!("{} bytes", f.bytes)),
            ),
            ("target", self.target.as_ref().map(|t| t.label.clone())),
            (
                "horizon",
                self.target.as_ref().map(|t| format!("{} bars", t.horizon)),
            ),
        ]);
    }

    fn use_and_limits(&self, page: &mut Page) {
        if let Some(text) = &self.intended_use {
            page.heading("Intended use");
            page.line(&escaped(text));
        }
        if !self.limits.is_empty() {
            page.heading("Limits");
            for limit in &self.limits {
                page.line(&format!("- {}", escaped(limit)));
            }
        }
    }

    fn skill(&self, page: &mut Page) {
        page.heading("Skill");
        let Some(metrics) = &self.metrics else {
            page.line("Nothing was measured.");
            return;
        };
        page.line(&sample(metrics));
        page.line("");
        let rows: Vec<_> = self.figures(metrics).into_iter().map(|f| f.row()).collect();
        page.table(&["metric", "model", "baseline", "baseline is", "verdict"], &rows);
        for figure in self.figures(metrics) {
            if let Some(sentence) = figure.sentence() {
                page.line(&format!("\n{sentence}"));
            }
        }
    }

    fn figures<'a>(&'a self, metrics: &'a Metrics) -> Vec<Compared<'a>> {
        let n = metrics.n_effective.or(metrics.n.map(|n| n as f64));
        let own = metrics.figures().into_iter();
        let own = own.map(|(name, value, higher, _)| (name, value, higher));
        let others = metrics.others.iter();
        let others = others.map(|(name, f)| (name.as_str(), f.value, f.better == Better::Higher));
        own.chain(others)
            .map(|(name, value, higher)| Compared {
                name,
                value,
                higher,
                baseline: self.baselines.get(name),
                n,
            })
            .collect()
    }

    fn latency(&self, page: &mut Page) {
        let sets: Vec<_> = [&self.latency_ms, &self.arrival_latency_ms]
            .into_iter()
            .flatten()
            .collect();
        if sets.is_empty() {
            return;
        }
        page.heading("Latency per answer, microseconds");
        let rows: Vec<_> = sets.iter().map(|l| latency_row(l)).collect();
        page.table(
            &["of", "p50", "p95", "p99", "p99.9", "max", "mean", "answers"],
            &rows,
        );
        let mut machines: Vec<_> = sets.iter().map(|set| measured_on(set)).collect();
        machines.dedup();
        for machine in machines {
            page.line(&format!("\n{machine}"));
        }
        if let Some(i) = &self.inference {
            let threads = if i.threads == 1 { "thread" } else { "threads" };
            let text = format!("{} {threads}, {} answers of warm-up", i.threads, i.warmup_n);
            page.line(&format!("\nDevice {}, {text}.", escaped(&i.device)));
        }
    }

    fn outputs(&self, page: &mut Page) {
        if self.outputs.is_empty() {
            return;
        }
        page.heading("Outputs");
        let row = |o: &tickfuse_core::bundle::Output| {
            let kind = format!("{:?}", o.kind).to_lowercase();
            vec![o.name.clone(), kind, o.labels.join(", "), o.unit.clone()]
        };
        let rows: Vec<_> = self.outputs.iter().map(row).collect();
        page.table(&["output", "kind", "labels", "unit"], &rows);
    }

    fn data(&self, page: &mut Page) {
        if let Some(train) = &self.train {
            page.heading("Training data");
            let balance = train
                .class_balance
                .map(|b| format!("{} true, {} false", b.pos, b.neg));
            let counts = train.class_counts.iter().map(|(k, n)| format!("{n} {k}"));
            let counts = counts.collect::<Vec<_>>().join(", ");
            page.facts(&[
                ("snapshot", Some(train.snapshot_id.clone())),
                (
                    "range",
                    Some(format!("{} to {}", train.range.start, train.range.end)),
                ),
                ("rows", Some(train.rows.to_string())),
                ("classes", balance.or((!counts.is_empty()).then_some(counts))),
                (
                    "symbols",
                    (!train.symbols.is_empty()).then(|| train.symbols.join(", ")),
                ),
            ]);
        }
        if let Some(split) = &self.split {
            page.heading("Split");
            let range = |r: &super::Range| format!("{} to {}", r.start, r.end);
            page.facts(&[
                ("method", Some(split.method.clone())),
                ("train", Some(range(&split.train))),
                ("validation", Some(range(&split.validation))),
                ("test", split.test.as_ref().map(range)),
                ("purged bars", Some(split.purge_bars.to_string())),
                ("embargo bars", split.embargo_bars.map(|n| n.to_string())),
                ("selected on", split.selected_on.clone()),
            ]);
        }
    }

    fn network(&self, page: &mut Page) {
        if let Some(net) = &self.architecture {
            page.heading("Network");
            page.facts(&[
                ("family", net.family.clone()),
                ("lookback", Some(format!("{} rows", net.seq_len))),
                ("width", Some(net.hidden_size.to_string())),
                ("layers", net.n_layers.map(|n| n.to_string())),
                ("parameters", Some(net.total_params.to_string())),
                ("features", Some(net.features.join(", "))),
            ]);
        }
        if let Some(made) = &self.provenance {
            page.heading("Provenance");
            page.facts(&[
                ("imported from", made.imported_from.clone()),
                ("code revision", made.code_revision.clone()),
                ("program", made.program_version.clone()),
                ("seed", made.seed.map(|n| n.to_string())),
                ("epochs", made.epochs.map(|n| n.to_string())),
                ("best epoch", made.best_epoch.map(|n| n.to_string())),
                ("trials it was chosen from", made.n_trials.map(|n| n.to_string())),
                ("duration", made.duration_s.map(|s| format!("{s:.1} s"))),
            ]);
        }
    }
}

/// A figure with what it is compared to.
struct Compared<'a> {
    name: &'a str,
    value: f64,
    higher: bool,
    baseline: Option<&'a Baseline>,
    n: Option<f64>,
}

impl Compared<'_> {
    fn verdict(&self) -> Verdict {
        let Some(baseline) = self.baseline else {
            return Verdict::NoBaseline;
        };
        let gain = (self.value - baseline.value) * if self.higher { 1.0 } else { -1.0 };
        if gain <= 0.0 {
            Verdict::DoesNotBeat
        } else if gain <= self.noise(baseline.value) {
            Verdict::WithinNoise
        } else {
            Verdict::Beats
        }
    }

    /// Two standard errors of a rate over `n` independent windows; known for accuracy only.
    fn noise(&self, rate: f64) -> f64 {
        match (self.name, self.n) {
            ("accuracy", Some(n)) => 2.0 * (rate * (1.0 - rate) / n).max(0.0).sqrt(),
            _ => 0.0,
        }
    }

    fn row(&self) -> Vec<String> {
        let (value, what) = self.baseline.map_or_else(
            || ("-".to_owned(), "-".to_owned()),
            |b| (number(b.value), b.what.clone()),
        );
        let verdict = self.verdict().text().to_owned();
        vec![self.name.to_owned(), number(self.value), value, what, verdict]
    }

    fn sentence(&self) -> Option<String> {
        let what = escaped(&self.baseline?.what);
        let name = escaped(self.name);
        match self.verdict() {
            Verdict::DoesNotBeat => {
                let text = format!("**By {name} the model does not beat the {what} on this split.**");
                Some(text)
            }
            Verdict::WithinNoise => {
                let text = "on this split by less than two standard errors: that may be chance.";
                Some(format!("**By {name} the model exceeds the {what} {text}**"))
            }
            Verdict::Beats | Verdict::NoBaseline => None,
        }
    }
}

fn sample(metrics: &Metrics) -> String {
    let part = metrics.part.as_deref().map_or("an unnamed part", |p| p);
    let mut text = format!("Measured on {} of the split", escaped(part));
    match metrics.n {
        Some(n) => text += &format!(", {n} windows"),
        None => text += ", number of windows not stated",
    }
    if let Some(n) = metrics.n_effective {
        text += &format!(", about {n:.0} of them independent");
    }
    text + "."
}

fn latency_row(latency: &Latency) -> Vec<String> {
    let of = match latency.mode {
        Some(Mode::Window) => "whole window",
        Some(Mode::Arrival) => "arrival of one bar",
        None => "not stated",
    };
    let micros = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{:.2}", ms * 1e3));
    let shown = [
        Some(latency.p50),
        Some(latency.p95),
        Some(latency.p99),
        latency.p999,
        latency.max,
        Some(latency.mean),
    ];
    let answers = latency
        .iterations
        .map_or_else(|| "-".to_owned(), |n| n.to_string());
    let figures = shown.into_iter().map(micros);
    std::iter::once(of.to_owned())
        .chain(figures)
        .chain([answers])
        .collect()
}

fn measured_on(latency: &Latency) -> String {
    let or = |text: Option<&str>| escaped(text.unwrap_or("not stated"));
    let precision = latency.precision.map(Precision::name);
    format!(
        "Machine {}, level {}, weights {}, measured file {}.",
        or(latency.machine.as_deref()),
        or(latency.level.as_deref()),
        or(precision),
        or(latency.file_sha256.as_deref()),
    )
}

/// Five significant digits, no trailing noise.
fn number(value: f64) -> String {
    let digits = 4 - value.abs().log10().floor().clamp(-4.0, 4.0) as i32;
    let digits = usize::try_from(digits).unwrap_or(0);
    if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{value:.digits$}")
    }
}

/// Text that neither ends a table cell nor starts markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '<' | '`' | '*' | '[' | ']' | '\\' => out.extend(['\\', c]),
            '\n' | '\r' => out.push(' '),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(accuracy: f64, loss: f64) -> ModelCard {
        let mut card = ModelCard::new("synthetic", "2025-10-15T12:00:00Z");
        card.metrics = Some(Metrics {
            part: Some("test".into()),
            n: Some(50_000),
            n_effective: Some(10_000.0),
            accuracy: Some(accuracy),
            log_loss: Some(loss),
            ece: Some(0.02),
            ..Metrics::default()
        });
        card.baselines
            .insert("accuracy".into(), Baseline::new(0.5, "majority rate"));
        card.baselines
            .insert("log_loss".into(), Baseline::new(0.69, "base-rate log-loss"));
        card
    }

    #[test]
    fn figures_stand_beside_their_baselines() {
        let text = card(0.53, 0.68).to_markdown();
        assert!(
            text.contains("| accuracy | 0.53000 | 0.50000 | majority rate | beats the baseline |"),
            "{text}"
        );
        assert!(
            text.contains("| log_loss | 0.68000 | 0.69000 | base-rate log-loss | beats the baseline |"),
            "{text}"
        );
        assert!(
            text.contains("| ece | 0.020000 | - | - | no baseline |"),
            "{text}"
        );
        assert!(
            text.contains("50000 windows, about 10000 of them independent"),
            "{text}"
        );
        assert!(!text.contains("does not beat"));
    }

    #[test]
    fn a_model_without_skill_is_told_so_in_plain_words() {
        let text = card(0.5, 0.70).to_markdown();
        assert!(
            text.contains("By accuracy the model does not beat the majority rate on this split."),
            "{text}"
        );
        assert!(text.contains("By log_loss the model does not beat the base-rate log-loss on this split."));
    }

    #[test]
    fn a_gain_within_two_standard_errors_may_be_chance() {
        let text = card(0.5099, 0.68).to_markdown();
        assert!(
            text.contains("exceeds the majority rate on this split by less than two standard errors"),
            "{text}"
        );
        let text = card(0.5101, 0.68).to_markdown();
        assert!(!text.contains("standard errors"), "{text}");
    }

    #[test]
    fn a_bare_card_says_that_nothing_was_measured() {
        let text = ModelCard::new("bare", "2025-10-15T12:00:00Z").to_markdown();
        assert!(text.starts_with("# bare\n"));
        assert!(text.contains("Nothing was measured."));
        assert!(!text.contains("Latency"));
    }

    #[test]
    fn foreign_text_cannot_break_the_table() {
        let mut card = card(0.53, 0.68);
        card.intended_use = Some("a | b\n# <script>".into());
        let text = card.to_markdown();
        assert!(text.contains("a \\| b # \\<script>"), "{text}");
    }

    #[test]
    fn latency_is_shown_in_microseconds_with_tail_machine_and_file() {
        let mut card = card(0.53, 0.68);
        card.latency_ms = Some(Latency {
            mean: 0.0123,
            p50: 0.012,
            p95: 0.0131,
            p99: 0.0142,
            p999: Some(0.02),
            max: Some(0.5),
            iterations: Some(1000),
            file_sha256: Some("ab".repeat(32)),
            level: Some("avx2".into()),
            precision: Some(Precision::Bf16),
            mode: Some(Mode::Window),
            machine: Some("synthetic".into()),
        });
        let text = card.to_markdown();
        let row = "| whole window | 12.00 | 13.10 | 14.20 | 20.00 | 500.00 | 12.30 | 1000 |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains(&format!(
            "level avx2, weights bf16, measured file {}",
            "ab".repeat(32)
        )));
    }

    #[test]
    fn numbers_keep_five_significant_digits() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(0.612_345_67), "0.61235");
        assert_eq!(number(12.345_678), "12.346");
        assert_eq!(number(123_456.7), "123457");
        assert_eq!(number(-0.05), "-0.050000");
    }
}
