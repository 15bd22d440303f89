//! Named feature lists: those of the systems Tickfuse imports, and one for new models.

use super::op::FeatureOp;
use super::params::{
    BollingerLine, Cycle, Deviation, EmaStart, Estimator, MacdForm, MacdPart, Smoothing, Wave,
};
use super::set::FeatureDef;
use alloc::string::ToString;
use alloc::vec::Vec;

/// Names that [`standard_set`] knows, with a line about each.
pub const STANDARD_SETS: [(&str, &str); 5] = [
    ("seed-000", "TinyTFT: close, ret1, sma20_gap, sma50_gap, vol_z"),
    (
        "seed-001",
        "SimpleTFT: close, volume, ret_1m, sma_20_gap, sma_50_gap",
    ),
    (
        "seed-003",
        "quantile TFT v1.1: 14 indicators in units of price and quantity",
    ),
    ("seed-004", "LightGBM: the list of seed-000"),
    (
        "scale-free",
        "for new models: 14 numbers that keep their meaning at any price level",
    ),
];

/// The feature list of that name, if there is one.
#[must_use]
pub fn standard_set(name: &str) -> Option<Vec<FeatureDef>> {
    match name {
        "seed-000" | "seed-004" => Some(seed_000()),
        "seed-001" => Some(seed_001()),
        "seed-003" => Some(seed_003()),
        "scale-free" => Some(scale_free()),
        _ => None,
    }
}

fn list<const N: usize>(features: [(&str, FeatureOp); N]) -> Vec<FeatureDef> {
    features
        .into_iter()
        .map(|(name, op)| FeatureDef {
            name: name.to_string(),
            op,
        })
        .collect()
}

fn seed_000() -> Vec<FeatureDef> {
    list([
        ("close", FeatureOp::Close),
        ("ret1", FeatureOp::Ret1),
        ("sma20_gap", FeatureOp::SmaGap { n: 20 }),
        ("sma50_gap", FeatureOp::SmaGap { n: 50 }),
        ("vol_z", FeatureOp::VolZ { n: 50 }),
    ])
}

fn seed_001() -> Vec<FeatureDef> {
    list([
        ("close", FeatureOp::Close),
        ("volume", FeatureOp::Volume),
        ("ret_1m", FeatureOp::Ret1),
        ("sma_20_gap", FeatureOp::SmaGap { n: 20 }),
        ("sma_50_gap", FeatureOp::SmaGap { n: 50 }),
    ])
}

/// Names and order are the source's. Its text does not state the periods of MACD, bands and ATR nor any start-up:
/// those are the customary ones of pandas code (12, 26, 9; 20, 2, sample deviation; 14; first value; simple means).
fn seed_003() -> Vec<FeatureDef> {
    let ema = |n| FeatureOp::Ema {
        n,
        start: EmaStart::First,
    };
    let macd = |part| {
        FeatureOp::Macd(MacdForm {
            fast: 12,
            slow: 26,
            start: EmaStart::First,
            part,
        })
    };
    let band = |line| FeatureOp::Bollinger {
        n: 20,
        k: 2.0,
        deviation: Deviation::Sample,
        line,
    };
    list([
        ("Close", FeatureOp::Close),
        ("Volume", FeatureOp::Volume),
        ("EMA_10", ema(10)),
        ("EMA_50", ema(50)),
        (
            "RSI_14",
            FeatureOp::Rsi {
                n: 14,
                smoothing: Smoothing::Simple,
            },
        ),
        ("MACD", macd(MacdPart::Line)),
        ("MACD_signal", macd(MacdPart::Signal { n: 9 })),
        ("BB_upper", band(BollingerLine::Upper)),
        ("BB_middle", FeatureOp::Sma { n: 20 }),
        ("BB_lower", band(BollingerLine::Lower)),
        (
            "ATR",
            FeatureOp::Atr {
                n: 14,
                smoothing: Smoothing::Simple,
            },
        ),
        ("volume_sma_20", FeatureOp::VolumeSma { n: 20 }),
        ("price_change_pct", FeatureOp::Ret { lag: 1 }),
        ("high_low_range", FeatureOp::HighLowRange),
    ])
}

fn scale_free() -> Vec<FeatureDef> {
    let start = EmaStart::Sma;
    let macd = MacdForm {
        fast: 12,
        slow: 26,
        start,
        part: MacdPart::Histogram { n: 9 },
    };
    let hour = |wave| FeatureOp::Calendar {
        cycle: Cycle::HourOfDay,
        wave,
    };
    let (k, deviation, line) = (2.0, Deviation::Population, BollingerLine::PercentB);
    let (periods_per_year, estimator) = (1.0, Estimator::CloseToClose);
    list([
        ("log_ret_1", FeatureOp::LogRet { lag: 1 }),
        ("log_ret_5", FeatureOp::LogRet { lag: 5 }),
        ("log_ret_20", FeatureOp::LogRet { lag: 20 }),
        ("sma_20_ratio", FeatureOp::SmaRatio { n: 20 }),
        ("sma_50_ratio", FeatureOp::SmaRatio { n: 50 }),
        (
            "rsi_14",
            FeatureOp::Rsi {
                n: 14,
                smoothing: Smoothing::Wilder,
            },
        ),
        ("macd_hist_ratio", FeatureOp::MacdRatio(macd)),
        (
            "percent_b_20",
            FeatureOp::Bollinger {
                n: 20,
                k,
                deviation,
                line,
            },
        ),
        (
            "atr_14_ratio",
            FeatureOp::AtrRatio {
                n: 14,
                smoothing: Smoothing::Wilder,
            },
        ),
        (
            "vol_20",
            FeatureOp::RealisedVol {
                n: 20,
                periods_per_year,
                estimator,
            },
        ),
        ("high_low_range", FeatureOp::HighLowRange),
        ("volume_50_z", FeatureOp::VolZ { n: 50 }),
        ("hour_sin", hour(Wave::Sin)),
        ("hour_cos", hour(Wave::Cos)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FeatureSet;

    #[test]
    fn every_listed_set_builds_and_no_other_name_is_known() {
        for (name, _) in STANDARD_SETS {
            let defs = standard_set(name).expect("the name is listed");
            assert!(FeatureSet::new(&defs).is_ok(), "{name}");
        }
        assert_eq!(standard_set("seed-002"), None);
    }

    #[test]
    fn the_sets_of_the_imported_systems_have_their_width_and_warm_up() {
        let shape = |name| {
            let set = FeatureSet::new(&standard_set(name).expect("the name is listed")).expect("it builds");
            (set.n_features(), set.warm_up())
        };
        assert_eq!(shape("seed-000"), (5, 1));
        assert_eq!(shape("seed-001"), (5, 0));
        assert_eq!(shape("seed-003"), (14, 49));
    }

    #[test]
    fn the_scale_free_set_has_no_unit() {
        for def in standard_set("scale-free").expect("the name is listed") {
            assert_eq!(def.op.unit(), "1", "{}", def.name);
        }
    }
}
