//! What the log says: replayed into the targets of every alias, the way back of each, and the versions published.
//!
//! A rollback undoes: rolling back twice goes two versions back, not back and forth. Entries marked abandoned count as
//! if they had never been written.

use super::log::{Change, Entry, Event, Move};
use super::names::{BEST, PREVIOUS};
use std::collections::{BTreeMap, BTreeSet};

/// State of a model according to its log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    /// Manifest hash of every published version, by id.
    pub(super) published: BTreeMap<String, String>,
    /// Highest version number ever written, abandoned or not: numbers are never used twice.
    pub(super) last_number: u32,
    targets: BTreeMap<String, String>,
    earlier: BTreeMap<String, Vec<String>>,
}

impl History {
    pub(super) fn replay(entries: &[Entry]) -> Self {
        let abandoned: BTreeSet<u64> = entries.iter().filter_map(abandons).collect();
        let mut history = Self::default();
        for entry in entries {
            history.number(&entry.event);
            if !abandoned.contains(&entry.seq) {
                history.apply(&entry.event);
            }
        }
        history
    }

    /// Where an alias points.
    pub(super) fn target(&self, alias: &str) -> Option<&str> {
        self.targets.get(alias).map(String::as_str)
    }

    /// Every alias that points somewhere.
    pub(super) fn aliases(&self) -> impl Iterator<Item = &str> {
        self.targets.keys().map(String::as_str)
    }

    /// The change that moves `alias` forward to `to`.
    pub(super) fn forward(&self, alias: &str, to: &str) -> Change {
        let from = self.target(alias);
        Change {
            main: moved(alias, from, Some(to)),
            also: from.and_then(|from| self.follow(alias, Some(from))),
        }
    }

    /// The change that takes the last move of `alias` back, if there was one.
    pub(super) fn back(&self, alias: &str) -> Option<Change> {
        let mut earlier = self.earlier.get(alias)?.iter().rev();
        let to = earlier.next()?;
        Some(Change {
            main: moved(alias, self.target(alias), Some(to)),
            also: self.follow(alias, earlier.next().map(String::as_str)),
        })
    }

    /// `previous` names where a rollback of `best` would lead.
    fn follow(&self, alias: &str, to: Option<&str>) -> Option<Move> {
        let from = self.target(PREVIOUS);
        (alias == BEST && from != to).then(|| moved(PREVIOUS, from, to))
    }

    fn number(&mut self, event: &Event) {
        if let Event::Publish { version, .. } = event {
            self.last_number = self.last_number.max(version.number());
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Publish {
                version,
                manifest_sha256,
            } => {
                self.published
                    .insert(version.to_string(), manifest_sha256.clone());
            }
            Event::Promote(change) => {
                self.remember(&change.main);
                self.set_all(change);
            }
            Event::Rollback(change) => {
                self.earlier.entry(change.main.alias.clone()).or_default().pop();
                self.set_all(change);
            }
            Event::External(moved) => {
                self.remember(moved);
                self.set(moved);
            }
            Event::Abandon { .. } | Event::Repair { .. } => {}
        }
    }

    fn remember(&mut self, moved: &Move) {
        let earlier = self.earlier.entry(moved.alias.clone()).or_default();
        earlier.extend(moved.from.clone());
    }

    fn set_all(&mut self, change: &Change) {
        self.set(&change.main);
        if let Some(also) = &change.also {
            self.set(also);
        }
    }

    fn set(&mut self, moved: &Move) {
        match &moved.to {
            Some(to) => self.targets.insert(moved.alias.clone(), to.clone()),
            None => self.targets.remove(&moved.alias),
        };
    }
}

/// The last entry whose effect may be missing: a writer appends nothing but repairs before it has judged that entry.
pub(super) fn unjudged(entries: &[Entry]) -> Option<&Entry> {
    let last = entries
        .iter()
        .rev()
        .find(|e| !matches!(e.event, Event::Repair { .. }))?;
    let judged = matches!(last.event, Event::Abandon { .. } | Event::External(_));
    (!judged).then_some(last)
}

fn abandons(entry: &Entry) -> Option<u64> {
    match entry.event {
        Event::Abandon { entry } => Some(entry),
        _ => None,
    }
}

fn moved(alias: &str, from: Option<&str>, to: Option<&str>) -> Move {
    Move {
        alias: alias.to_owned(),
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Story(Vec<Entry>);

    impl Story {
        fn then(&mut self, event: Event) -> &mut Self {
            self.0.push(Entry {
                seq: self.0.len() as u64 + 1,
                time: String::new(),
                event,
                actor: String::new(),
                reason: String::new(),
                prev: String::new(),
                hash: String::new(),
            });
            self
        }

        fn now(&self) -> History {
            History::replay(&self.0)
        }

        fn promote(&mut self, alias: &str, to: &str) -> &mut Self {
            let change = self.now().forward(alias, to);
            self.then(Event::Promote(change))
        }

        fn roll_back(&mut self, alias: &str) -> &mut Self {
            let change = self.now().back(alias).unwrap();
            self.then(Event::Rollback(change))
        }

        fn at(&self) -> (Option<String>, Option<String>) {
            let now = self.now();
            let text = |alias| now.target(alias).map(str::to_owned);
            (text(BEST), text(PREVIOUS))
        }
    }

    fn pair(best: &str, previous: Option<&str>) -> (Option<String>, Option<String>) {
        (Some(best.into()), previous.map(Into::into))
    }

    #[test]
    fn previous_is_always_where_a_rollback_of_best_would_lead() {
        let mut story = Story(Vec::new());
        assert_eq!(story.promote(BEST, "a").at(), pair("a", None));
        assert_eq!(story.promote(BEST, "b").at(), pair("b", Some("a")));
        assert_eq!(story.promote(BEST, "c").at(), pair("c", Some("b")));
        assert_eq!(story.roll_back(BEST).at(), pair("b", Some("a")));
        assert_eq!(story.roll_back(BEST).at(), pair("a", None));
        assert_eq!(story.now().back(BEST), None);
        assert_eq!(story.promote(BEST, "d").at(), pair("d", Some("a")));
    }

    #[test]
    fn other_aliases_move_alone() {
        let mut story = Story(Vec::new());
        story
            .promote(BEST, "a")
            .promote("shadow", "b")
            .promote("shadow", "c");
        assert_eq!(story.at(), pair("a", None));
        assert_eq!(story.roll_back("shadow").now().target("shadow"), Some("b"));
        assert_eq!(story.now().back("unknown"), None);
    }

    #[test]
    fn an_abandoned_entry_counts_as_unwritten_but_its_number_is_spent() {
        let mut story = Story(Vec::new());
        let publish = |number: u32| Event::Publish {
            version: format!("{number:04}-20251015T120000Z-00000000").parse().unwrap(),
            manifest_sha256: "m".into(),
        };
        story.then(publish(1)).then(publish(2));
        story.then(Event::Abandon { entry: 2 });
        story
            .promote(BEST, "a")
            .promote(BEST, "b")
            .then(Event::Abandon { entry: 5 });
        let now = story.now();
        assert_eq!((now.published.len(), now.last_number), (1, 2));
        assert_eq!(story.at(), pair("a", None));
        assert_eq!(now.back(BEST), None);
    }

    #[test]
    fn only_the_last_entry_can_be_unjudged() {
        let mut story = Story(Vec::new());
        assert_eq!(unjudged(&story.0), None);
        story.promote(BEST, "a").promote(BEST, "b");
        assert_eq!(unjudged(&story.0).unwrap().seq, 2);
        story.then(Event::Repair { kept: "x".into() });
        assert_eq!(unjudged(&story.0).unwrap().seq, 2);
        story.then(Event::Abandon { entry: 2 });
        assert_eq!(unjudged(&story.0), None);
    }

    #[test]
    fn a_move_by_hand_can_be_rolled_back() {
        let mut story = Story(Vec::new());
        story
            .promote(BEST, "a")
            .then(Event::External(moved(BEST, Some("a"), Some("z"))));
        assert_eq!(story.at(), pair("z", None));
        assert_eq!(story.roll_back(BEST).at(), pair("a", None));
    }
}
