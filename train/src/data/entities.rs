//! Codes of symbols: 0 for one that training never saw, 1 and up for the others in order of their names.
//!
//! The order of names, not of files, so that the same symbols always have the same codes.

use super::table::Panel;
use tickfuse_core::bundle::Categories;

/// Name of the static column that tells series apart.
pub const SYMBOL: &str = "symbol";
/// Name of the code 0.
pub const UNKNOWN: &str = "<unknown>";

/// Codes of the symbols of a panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entities {
    symbols: Vec<String>,
}

impl Entities {
    /// The symbols of a panel.
    #[must_use]
    pub fn of(panel: &Panel) -> Self {
        let mut symbols: Vec<String> = panel.tables.iter().map(|table| table.symbol.clone()).collect();
        symbols.sort();
        symbols.dedup();
        Self { symbols }
    }

    /// The code of a symbol.
    #[must_use]
    pub fn code(&self, symbol: &str) -> usize {
        self.symbols
            .binary_search_by(|s| s.as_str().cmp(symbol))
            .map_or(0, |at| at + 1)
    }

    /// Number of codes: rows of an embedding.
    #[must_use]
    pub fn n_codes(&self) -> usize {
        self.symbols.len() + 1
    }

    /// The same map as a model file carries it.
    #[must_use]
    pub fn categories(&self) -> Categories {
        let names = [UNKNOWN.to_owned()]
            .into_iter()
            .chain(self.symbols.iter().cloned());
        Categories {
            labels: names.collect(),
            unknown: Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{panel, series};
    use super::*;

    #[test]
    fn codes_follow_the_names_and_zero_is_for_strangers() {
        let times: Vec<i64> = (0..5).collect();
        let entities = Entities::of(&panel(&[series("B", 1.0, &times), series("A", 1.0, &times)]));
        assert_eq!(["A", "B", "C"].map(|symbol| entities.code(symbol)), [1, 2, 0]);
        assert_eq!(entities.n_codes(), 3);
        let categories = entities.categories();
        for symbol in ["A", "B", "C"] {
            assert_eq!(categories.code(symbol), Some(entities.code(symbol)));
        }
    }
}
