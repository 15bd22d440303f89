//! The deployment log: JSON lines, each chained to the one before it by sha-256.
//!
//! A line is one JSON object whose last member is `hash`; `hash` is the sha-256 of the line with that member cut out, and
//! `prev` is the `hash` of the line before (64 zeros in the first). Changed, removed or reordered lines therefore show,
//! except lines cut from the end, which show as versions and aliases the log does not know. To check one line by hand:
//! `sed 's/,"hash":"[0-9a-f]*"}$/}/' | tr -d '\n' | sha256sum`.

use super::error::At;
use super::manifest::sha256_hex;
use super::{RegistryError, VersionId};
use serde::{Deserialize, Serialize};
use std::path::Path;

const HASH_MEMBER: &str = ",\"hash\":\"";

/// `prev` of the first line.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a line of the log records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Event {
    /// A version is about to get its final name.
    Publish {
        /// The version.
        version: VersionId,
        /// sha-256 of its manifest, which holds those of its files.
        manifest_sha256: String,
    },
    /// An alias is about to move to a version.
    Promote(Change),
    /// An alias is about to return to where it pointed before.
    Rollback(Change),
    /// Entry `entry` did not happen: its writer ended before the rename that would have made it visible.
    Abandon {
        /// `seq` of the entry.
        entry: u64,
    },
    /// An alias was found moved by something else than the registry.
    External(Move),
    /// An unfinished last line was cut off and kept in a file beside the log.
    Repair {
        /// Name of that file.
        kept: String,
    },
}

/// A move of an alias and the move that follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The move asked for.
    #[serde(flatten)]
    pub main: Move,
    /// `previous` moving with `best`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also: Option<Move>,
}

/// An alias and its targets; `None` is "no such alias". Text, because a hand may have pointed it anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The alias.
    pub alias: String,
    /// Where it pointed.
    pub from: Option<String>,
    /// Where it points then.
    pub to: Option<String>,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Line number, from 1.
    pub seq: u64,
    /// UTC time of writing.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// Who did it.
    pub actor: String,
    /// Why, in the actor's words.
    pub reason: String,
    /// `hash` of the line before.
    pub prev: String,
    /// sha-256 of this line without this member.
    #[serde(default)]
    pub hash: String,
}

/// The log as read: its whole lines, and the bytes behind the last of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// Whole lines, in order.
    pub entries: Vec<Entry>,
    /// Bytes of an unfinished last line: a writer is at work, or was killed.
    pub unfinished: Vec<u8>,
}

impl Log {
    /// Reads and checks a log; a missing file is an empty log.
    pub(super) fn read(path: &Path) -> Result<Self, RegistryError> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            other => other.at("read", path)?,
        };
        Self::parse(&bytes).map_err(|(line, text)| RegistryError::Log {
            path: path.to_owned(),
            line,
            text,
        })
    }

    /// `hash` of the last line: kept elsewhere, it shows later whether lines were cut from the end.
    #[must_use]
    pub fn head(&self) -> &str {
        self.entries.last().map_or(GENESIS, |e| &e.hash)
    }

    /// Whether a line records that an unfinished line was kept under this name.
    pub(super) fn records_repair(&self, name: &str) -> bool {
        let records = |e: &Entry| matches!(&e.event, Event::Repair { kept } if kept == name);
        self.entries.iter().any(records)
    }

    fn parse(bytes: &[u8]) -> Result<Self, (usize, String)> {
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let mut log = Self {
            entries: Vec::new(),
            unfinished: bytes[whole..].to_vec(),
        };
        for line in bytes[..whole].split_inclusive(|&b| b == b'\n') {
            let number = log.entries.len() + 1;
            let entry = parse_line(&line[..line.len() - 1], number as u64, log.head());
            log.entries.push(entry.map_err(|text| (number, text))?);
        }
        Ok(log)
    }
}

impl Entry {
    /// The line for the file, with its newline; sets `hash`.
    pub(super) fn seal(&mut self) -> String {
        self.hash.clear();
        let open = serde_json::to_string(self).expect("an entry holds only text and numbers");
        let body = open
            .strip_suffix(",\"hash\":\"\"}")
            .expect("hash is the last member");
        self.hash = sha256_hex(format!("{body}}}").as_bytes());
        format!("{body}{HASH_MEMBER}{}\"}}\n", self.hash)
    }
}

fn parse_line(line: &[u8], seq: u64, prev: &str) -> Result<Entry, String> {
    let text = std::str::from_utf8(line).map_err(|e| format!("expected UTF-8: {e}"))?;
    let entry: Entry = serde_json::from_str(text).map_err(|e| format!("expected a log entry: {e}"))?;
    let cut = text
        .rfind(HASH_MEMBER)
        .ok_or("expected `hash` as the last member")?;
    let found = sha256_hex(format!("{}}}", &text[..cut]).as_bytes());
    if text[cut..] != format!("{HASH_MEMBER}{found}\"}}") {
        return Err(format!(
            "hash: the line states {}, its content has {found}",
            entry.hash
        ));
    }
    if entry.seq != seq {
        return Err(format!("seq: expected {seq}, found {}", entry.seq));
    }
    if entry.prev != prev {
        return Err(format!("prev: expected {prev}, found {}", entry.prev));
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u32) -> VersionId {
        format!("{number:04}-20251015T120000Z-00000000").parse().unwrap()
    }

    fn sealed(seq: u64, prev: &str, event: Event) -> (Entry, String) {
        let mut entry = Entry {
            seq,
            time: "2025-10-15T12:00:00Z".into(),
            event,
            actor: "an \"actor\",\"hash\":\"".into(),
            reason: "two\nlines".into(),
            prev: prev.into(),
            hash: String::new(),
        };
        let line = entry.seal();
        (entry, line)
    }

    fn events() -> Vec<Event> {
        let moved = |alias: &str, from: Option<&str>, to: Option<&str>| Move {
            alias: alias.into(),
            from: from.map(Into::into),
            to: to.map(Into::into),
        };
        vec![
            Event::Publish {
                version: version(1),
                manifest_sha256: GENESIS.into(),
            },
            Event::Promote(Change {
                main: moved("best", None, Some("a")),
                also: None,
            }),
            Event::Rollback(Change {
                main: moved("best", Some("a"), Some("b")),
                also: Some(moved("previous", Some("b"), None)),
            }),
            Event::Abandon { entry: 3 },
            Event::External(moved("shadow", None, Some("elsewhere"))),
            Event::Repair { kept: "torn".into() },
        ]
    }

    fn sample() -> (Vec<Entry>, String) {
        let (mut entries, mut text) = (Vec::<Entry>::new(), String::new());
        for (i, event) in events().into_iter().enumerate() {
            let prev = entries.last().map_or(GENESIS, |e| &e.hash).to_owned();
            let (entry, line) = sealed(i as u64 + 1, &prev, event);
            entries.push(entry);
            text.push_str(&line);
        }
        (entries, text)
    }

    #[test]
    fn every_event_survives_the_file() {
        let (entries, text) = sample();
        let log = Log::parse(text.as_bytes()).unwrap();
        assert_eq!(log.entries, entries);
        assert_eq!(log.head(), entries.last().unwrap().hash);
        assert!(log.unfinished.is_empty());
        assert_eq!(text.lines().count(), entries.len());
    }

    #[test]
    fn a_log_cut_anywhere_is_a_shorter_log_and_an_unfinished_line() {
        let (entries, text) = sample();
        for len in 0..text.len() {
            let log = Log::parse(&text.as_bytes()[..len]).unwrap();
            let whole = text[..len].matches('\n').count();
            assert_eq!(log.entries, entries[..whole]);
            assert_eq!(
                log.unfinished,
                text[..len].rsplit('\n').next().unwrap().as_bytes()
            );
        }
    }

    #[test]
    fn any_changed_byte_of_a_whole_line_is_found() {
        let (_, text) = sample();
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(Log::parse(&bytes).is_err(), "byte {at}");
        }
    }

    #[test]
    fn removed_and_swapped_lines_are_found_with_their_number() {
        let (_, text) = sample();
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        let without = [&lines[..2], &lines[3..]].concat().concat();
        assert_eq!(Log::parse(without.as_bytes()).unwrap_err().0, 3);
        let mut swapped = lines.clone();
        swapped.swap(3, 4);
        assert_eq!(Log::parse(swapped.concat().as_bytes()).unwrap_err().0, 4);
    }

    #[test]
    fn a_line_resealed_by_a_forger_breaks_the_chain_behind_it() {
        let (entries, text) = sample();
        let (_, forged) = sealed(2, &entries[0].hash, Event::Abandon { entry: 1 });
        let mut lines: Vec<_> = text.split_inclusive('\n').collect();
        lines[1] = &forged;
        let (line, why) = Log::parse(lines.concat().as_bytes()).unwrap_err();
        assert_eq!(line, 3);
        assert!(why.starts_with("prev: expected"), "{why}");
    }
}
