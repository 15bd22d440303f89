//! A million bars: running sums against sums made afresh for each compared bar.

use tickfuse_core::features::{
    Bar, BollingerLine, Deviation, Estimator, FeatureDef, FeatureOp, FeatureSet, Ready, Smoothing,
};

const BARS: usize = 1_000_003;
const N: usize = 50;

/// Minute bars near 95505.4 with trends, quiet and flat hours; volumes over ten decades.
struct Market {
    state: u64,
    ticks: i64,
    ts_ns: i64,
}

impl Market {
    fn draw(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.state >> 33
    }

    fn within(&mut self, half: i64) -> i64 {
        (self.draw() % (2 * half as u64 + 1)) as i64 - half
    }

    fn next(&mut self, k: usize) -> Bar {
        let open = self.ticks;
        let half = [400, 3, 0, 40][(k / 120) % 4];
        self.ticks += self.within(half) + (955_054 - self.ticks) / 2000;
        if k % 99_991 == 7 {
            self.ticks = self.ticks * 9 / 10;
        }
        self.ts_ns += 60_000_000_000;
        let price = |ticks: i64| ticks as f64 / 10.0;
        let (high, low) = (
            open.max(self.ticks) + self.within(half).abs(),
            open.min(self.ticks),
        );
        let spike = if k % 7919 == 5 { 1e6 } else { 1.0 };
        let volume = self.within(90_000).abs() as f64 / 1000.0 * spike;
        Bar {
            ts_ns: self.ts_ns,
            open: price(open),
            high: price(high),
            low: price(low),
            close: price(self.ticks),
            volume,
        }
    }
}

fn features() -> Vec<FeatureDef> {
    let ops = [
        FeatureOp::SmaGap { n: N },
        FeatureOp::VolZ { n: N },
        FeatureOp::Bollinger {
            n: N,
            k: 2.0,
            deviation: Deviation::Population,
            line: BollingerLine::Width,
        },
        FeatureOp::VolumeSma { n: N },
        FeatureOp::Rsi {
            n: N,
            smoothing: Smoothing::Simple,
        },
        FeatureOp::Atr {
            n: N,
            smoothing: Smoothing::Simple,
        },
        FeatureOp::RealisedVol {
            n: N,
            periods_per_year: 1.0,
            estimator: Estimator::CloseToClose,
        },
    ];
    ops.into_iter()
        .enumerate()
        .map(|(k, op)| FeatureDef {
            name: k.to_string(),
            op,
        })
        .collect()
}

fn mean(x: &[f64]) -> f64 {
    let first = x.iter().sum::<f64>() / x.len() as f64;
    first + x.iter().map(|v| v - first).sum::<f64>() / x.len() as f64
}

/// Two passes over distances from the first value, which neighbouring prices have without rounding.
fn spread(x: &[f64], lost: usize) -> f64 {
    let d: Vec<f64> = x.iter().map(|v| v - x[0]).collect();
    let centre = mean(&d);
    let squares: f64 = d.iter().map(|v| (v - centre) * (v - centre)).sum();
    (squares / (d.len() - lost) as f64).sqrt()
}

/// The same features from the last `N + 1` bars alone, each sum made afresh, with a scale for comparison.
fn afresh(bars: &[Bar]) -> [(f64, f64); 7] {
    let close: Vec<f64> = bars[1..].iter().map(|b| b.close).collect();
    let volume: Vec<f64> = bars[1..].iter().map(|b| b.volume).collect();
    let change: Vec<f64> = bars.windows(2).map(|w| w[1].close - w[0].close).collect();
    let log: Vec<f64> = bars
        .windows(2)
        .map(|w| libm::log(w[1].close / w[0].close))
        .collect();
    let range = |w: &[Bar]| w[1].high.max(w[0].close) - w[1].low.min(w[0].close);
    let ranges: Vec<f64> = bars.windows(2).map(range).collect();
    let (rise, fall) = (
        change.iter().map(|d| d.max(0.0)).sum::<f64>(),
        change.iter().map(|d| (-d).max(0.0)).sum::<f64>(),
    );
    let rsi = if rise + fall == 0.0 {
        50.0
    } else {
        100.0 * rise / (rise + fall)
    };
    let (p, v) = (close[N - 1], volume[N - 1]);
    let width = 4.0 * spread(&close, 0) / mean(&close);
    [
        (p - mean(&close), p),
        ((v - mean(&volume)) / (spread(&volume, 1) + 1e-9), 1.0),
        (width, width + 1e-6),
        (mean(&volume), mean(&volume)),
        (rsi, 100.0),
        (mean(&ranges), mean(&ranges) + 1.0),
        (spread(&log, 1), spread(&log, 1) + 1e-6),
    ]
}

#[test]
fn a_million_bars_later_every_running_sum_is_still_right() {
    let defs = features();
    let mut set = FeatureSet::new(&defs).expect("the definitions are valid");
    let mut market = Market {
        state: 11,
        ticks: 955_054,
        ts_ns: 0,
    };
    let mut recent: Vec<Bar> = Vec::with_capacity(4 * N);
    let mut row = [0.0; 7];
    let mut worst = [0.0f64; 7];
    let mut compared = 0;
    for k in 0..BARS {
        let bar = market.next(k);
        if recent.len() == 4 * N {
            recent.drain(..3 * N - 1);
        }
        recent.push(bar);
        let ready = set.push(&bar, &mut row).expect("the bar is valid");
        if ready == Ready::Row && (k % 7 == 0 || k + 2000 > BARS) {
            compared += 1;
            for (j, (expected, scale)) in afresh(&recent[recent.len() - N - 1..]).into_iter().enumerate() {
                worst[j] = worst[j].max((row[j] - expected).abs() / scale);
            }
        }
    }
    assert!(compared > 140_000);
    for (def, error) in defs.iter().zip(worst) {
        assert!(error < 1e-12, "{:?} is off by {error:e} of its scale", def.op);
    }
}
