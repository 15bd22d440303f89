//! Names in the registry: models, aliases, attachments and version ids, each with its rule.

use super::RegistryError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The alias that serving follows by default.
pub const BEST: &str = "best";
/// The alias that names where a rollback of [`BEST`] leads; it moves with `best` and never by itself.
pub const PREVIOUS: &str = "previous";

const RESERVED_ALIASES: [&str; 3] = ["all", "latest", "versions"];
const MODEL_RULE: &str = "1 to 64 of a-z 0-9 . _ -, the first a letter or digit";
const ALIAS_RULE: &str = "1 to 64 of a-z 0-9 _ -, the first a letter, none of `all`, `latest`, `versions`";
const ATTACHMENT_RULE: &str =
    "1 to 64 of a-z 0-9 . _ -, the first a letter or digit, none of the registry's own files";

/// Checks a model name: it becomes a folder's name, on file systems that ignore case too.
pub(super) fn check_model(name: &str) -> Result<(), RegistryError> {
    let fits = is_plain(name) && starts_with(name, |b| b.is_ascii_lowercase() || b.is_ascii_digit());
    named("model", MODEL_RULE, name, fits)
}

/// Checks an alias name: it becomes a symlink's name and must differ from numbers and from the registry's words.
pub(super) fn check_alias(name: &str) -> Result<(), RegistryError> {
    let fits = is_plain(name) && !name.contains('.') && starts_with(name, |b| b.is_ascii_lowercase());
    named(
        "alias",
        ALIAS_RULE,
        name,
        fits && !RESERVED_ALIASES.contains(&name),
    )
}

/// Checks the name of a file published beside the model; `own` are the names the registry writes itself.
pub(super) fn check_attachment(name: &str, own: &[&str]) -> Result<(), RegistryError> {
    let fits = is_plain(name) && starts_with(name, |b| b.is_ascii_lowercase() || b.is_ascii_digit());
    named("attachment", ATTACHMENT_RULE, name, fits && !own.contains(&name))
}

fn named(kind: &'static str, rule: &'static str, name: &str, fits: bool) -> Result<(), RegistryError> {
    if fits {
        return Ok(());
    }
    let found = name.to_owned();
    Err(RegistryError::Name { kind, rule, found })
}

fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

fn starts_with(name: &str, first: impl Fn(u8) -> bool) -> bool {
    name.bytes().next().is_some_and(first)
}

/// Id of a published version, `NNNN-YYYYMMDDThhmmssZ-hhhhhhhh`: number, UTC time of publication, first eight digits of
/// the model file's sha-256. Versions order by number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionId {
    number: u32,
    rest: String,
}

impl VersionId {
    pub(super) fn new(number: u32, time: Timestamp, sha256: &str) -> Self {
        let rest = format!("{}-{}", time.strftime("%Y%m%dT%H%M%SZ"), &sha256[..8]);
        Self { number, rest }
    }

    /// Position in the order of publication, from 1; never used twice.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// First eight hexadecimal digits of the model file's sha-256.
    #[must_use]
    pub fn hash8(&self) -> &str {
        &self.rest[self.rest.len() - 8..]
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{}", self.number, self.rest)
    }
}

impl FromStr for VersionId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_version(text)
            .filter(|id| id.to_string() == text)
            .ok_or_else(|| format!("version: expected NNNN-YYYYMMDDThhmmssZ-hhhhhhhh, found `{text}`"))
    }
}

fn parse_version(text: &str) -> Option<VersionId> {
    let (number, rest) = text.split_once('-')?;
    let (time, hash) = rest.split_once('-')?;
    let shape = |b: &u8| if b.is_ascii_digit() { b'0' } else { *b };
    let time_fits = time.bytes().map(|b| shape(&b)).eq(*b"00000000T000000Z");
    let hash_fits = hash.len() == 8 && hash.bytes().all(|b| b"0123456789abcdef".contains(&b));
    let number = number.parse().ok()?;
    let rest = rest.to_owned();
    (time_fits && hash_fits).then_some(VersionId { number, rest })
}

impl TryFrom<String> for VersionId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<VersionId> for String {
    fn from(id: VersionId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names_cannot_leave_their_folder() {
        for right in ["tft_prod", "btc-1m.v2", "7x"] {
            assert!(check_model(right).is_ok(), "{right}");
        }
        let long = "x".repeat(65);
        for wrong in [
            "", ".", "..", "../x", "a/b", ".hidden", "Tft", "a b", "ü", "-x", &long,
        ] {
            assert!(check_model(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn alias_names_are_neither_numbers_nor_reserved_words() {
        for right in ["best", "shadow", "challenger", "blue_2", "a"] {
            assert!(check_alias(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "1",
            "0001",
            "all",
            "latest",
            "versions",
            "a.b",
            "Best",
            "deployments.log",
            "-a",
        ] {
            assert!(check_alias(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn attachments_do_not_take_the_registrys_own_names() {
        assert!(check_attachment("report.html", &["manifest.json"]).is_ok());
        assert!(check_attachment("manifest.json", &["manifest.json"]).is_err());
        assert!(check_attachment("../report.html", &[]).is_err());
    }

    #[test]
    fn version_ids_print_as_they_parse_and_order_by_number() {
        let time: Timestamp = "2025-10-15T12:00:07Z".parse().unwrap();
        let id = VersionId::new(7, time, &"ab12cd34".repeat(8));
        assert_eq!(id.to_string(), "0007-20251015T120007Z-ab12cd34");
        assert_eq!(id.to_string().parse::<VersionId>().unwrap(), id);
        assert_eq!((id.number(), id.hash8()), (7, "ab12cd34"));
        let later = VersionId::new(12_345, time, &"00000000".repeat(8));
        assert!(later > id);
        assert_eq!(later.to_string().parse::<VersionId>().unwrap(), later);
    }

    #[test]
    fn malformed_version_ids_are_refused() {
        for wrong in [
            "",
            "7-20251015T120007Z-ab12cd34",
            "00007-20251015T120007Z-ab12cd34",
            "+007-20251015T120007Z-ab12cd34",
            "0007-20251015T120007-ab12cd34",
            "0007-2025x015T120007Z-ab12cd34",
            "0007-20251015T120007Z-ab12cd3",
            "0007-20251015T120007Z-AB12CD34",
            "0007-20251015T120007Z-ab12cd34-x",
        ] {
            assert!(wrong.parse::<VersionId>().is_err(), "{wrong}");
        }
    }
}
