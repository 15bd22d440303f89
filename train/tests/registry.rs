//! The registry through its public functions: versions, aliases, rollback, verification, damage, many threads at once.

mod registry_common;

use registry_common::{MODEL_NAME as M, Root, bundle, publish};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tickfuse_train::card::ModelCard;
use tickfuse_train::registry::{BEST, Draft, Event, MODEL, PREVIOUS, RegistryError, sha256_hex};

#[test]
fn a_published_version_holds_its_files_and_verifies() {
    let root = Root::new();
    let registry = root.registry();
    let mut draft = Draft {
        bundle: &bundle(1),
        reason: "first",
        ..Draft::default()
    };
    draft
        .attachments
        .insert("report.html".into(), b"<p>synthetic</p>".to_vec());
    let published = registry.publish(M, &draft).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(&published.path)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "card.md",
            "manifest.json",
            "model.safetensors",
            "model_card.json",
            "report.html"
        ]
    );
    assert_eq!(published.sha256, sha256_hex(&bundle(1)));
    assert_eq!(published.version.hash8(), &published.sha256[..8]);
    assert_eq!((published.version.number(), published.entry), (1, 1));
    let detail = registry.show(M, "1").unwrap();
    assert_eq!(detail.card.file.unwrap().sha256, published.sha256);
    let report = registry.verify(M, "all").unwrap();
    assert!(report.is_ok() && report.notes.is_empty(), "{report:?}");
    assert_eq!(report.versions.len(), 1);
}

#[cfg(unix)]
#[test]
fn a_published_version_is_read_only_and_an_alias_is_a_relative_symlink() {
    use std::os::unix::fs::PermissionsExt;
    let root = Root::new();
    let path = publish(&root.registry(), 1).path;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o222;
    assert_eq!((mode(&path), mode(&path.join(MODEL))), (0, 0));
    root.registry().promote(M, "1", BEST, "").unwrap();
    let link = std::fs::read_link(root.path().join(M).join(BEST)).unwrap();
    assert_eq!(link, Path::new("versions").join(path.file_name().unwrap()));
}

#[test]
fn selectors_are_versions_numbers_latest_and_aliases() {
    let root = Root::new();
    let registry = root.registry();
    let first = publish(&registry, 1).version;
    let second = publish(&registry, 2).version;
    registry.promote(M, "1", "champion", "").unwrap();
    let version = |selector: &str| registry.resolve(M, selector).unwrap().version;
    assert_eq!(version("1"), first);
    assert_eq!(version("0001"), first);
    assert_eq!(version(&first.to_string()), first);
    assert_eq!(version("champion"), first);
    assert_eq!(version("latest"), second);
    let error = registry.resolve(M, "best").unwrap_err().to_string();
    assert!(
        error.contains("versions 1 to 2 and aliases [champion]"),
        "{error}"
    );
    assert!(registry.resolve("other", "1").is_err());
    assert!(registry.resolve("../m", "1").is_err());
    assert_eq!(registry.names().unwrap(), [M]);
}

#[test]
fn promotion_moves_previous_along_and_rollback_goes_back_step_by_step() {
    let root = Root::new();
    let registry = root.registry();
    for n in 1..=3 {
        publish(&registry, n);
        registry.promote(M, "latest", BEST, "nightly").unwrap();
    }
    let at = |alias: &str| registry.resolve(M, alias).map(|r| r.version.number()).ok();
    assert_eq!((at(BEST), at(PREVIOUS)), (Some(3), Some(2)));
    registry.rollback(M, BEST, "drift").unwrap();
    assert_eq!((at(BEST), at(PREVIOUS)), (Some(2), Some(1)));
    registry.rollback(M, BEST, "drift").unwrap();
    assert_eq!((at(BEST), at(PREVIOUS)), (Some(1), None));
    let error = registry.rollback(M, BEST, "").unwrap_err();
    assert!(matches!(error, RegistryError::NothingEarlier { .. }), "{error}");
    let log = registry.log(M).unwrap();
    assert_eq!(log.entries.len(), 8);
    let last = log.entries.last().unwrap();
    assert!(matches!(&last.event, Event::Rollback(c) if c.also.as_ref().unwrap().to.is_none()));
    assert_eq!((last.reason.as_str(), last.actor.as_str()), ("drift", "tester"));
    assert!(registry.verify(M, "all").unwrap().is_ok());
}

#[test]
fn promoting_where_the_alias_points_already_writes_nothing() {
    let root = Root::new();
    let registry = root.registry();
    publish(&registry, 1);
    registry.promote(M, "1", BEST, "").unwrap();
    let again = registry.promote(M, "1", BEST, "").unwrap();
    assert_eq!(again.entry, None);
    assert_eq!(registry.log(M).unwrap().entries.len(), 2);
}

#[test]
fn previous_cannot_be_moved_by_itself() {
    let root = Root::new();
    publish(&root.registry(), 1);
    let error = root.registry().promote(M, "1", PREVIOUS, "").unwrap_err();
    assert!(error.to_string().contains("follows `best`"), "{error}");
    assert!(root.registry().rollback(M, PREVIOUS, "").is_err());
}

#[test]
fn a_draft_that_is_refused_leaves_no_trace() {
    let root = Root::new();
    let registry = root.registry();
    let bytes = bundle(1);
    let other = ModelCard::new("other", "2025-10-15T12:00:00Z");
    let refuse = |_: &[u8]| Err("not today".to_owned());
    let draft = |card, check| Draft {
        bundle: &bytes,
        card,
        check,
        ..Draft::default()
    };
    let error = registry.publish(M, &draft(Some(&other), None)).unwrap_err();
    assert!(matches!(error, RegistryError::Card(_)), "{error}");
    let error = registry.publish(M, &draft(None, Some(&refuse))).unwrap_err();
    assert!(error.to_string().contains("not today"), "{error}");
    let mut attached = draft(None, None);
    attached.attachments.insert("../evil".into(), Vec::new());
    assert!(registry.publish(M, &attached).is_err());
    assert!(registry.names().unwrap().is_empty());
}

#[test]
fn every_kind_of_damage_is_found_and_named() {
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 7] = [
        ("model.safetensors: expected", |p| flip(&p.join(MODEL))),
        ("model.safetensors: ", |p| {
            std::fs::remove_file(p.join(MODEL)).unwrap();
        }),
        ("manifest.json: sha-256", |p| {
            let path = p.join("manifest.json");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, text + " ").unwrap();
        }),
        ("manifest.json: ", |p| {
            std::fs::write(p.join("manifest.json"), "{}").unwrap();
        }),
        ("model_card.json: expected", |p| flip(&p.join("model_card.json"))),
        ("extra.txt: not listed", |p| {
            std::fs::write(p.join("extra.txt"), "x").unwrap();
        }),
        ("card.md: expected a file", |p| {
            std::fs::remove_file(p.join("card.md")).unwrap();
            std::fs::create_dir(p.join("card.md")).unwrap();
        }),
    ];
    for (expected, damage) in damages {
        let root = Root::new();
        let registry = root.registry();
        publish(&registry, 1);
        let path = publish(&registry, 2).path;
        registry_common::writable(&path);
        damage(&path);
        let report = registry.verify(M, "2").unwrap();
        let problems = &report.versions[0].problems;
        assert!(
            problems.iter().any(|p| p.starts_with(expected)),
            "{expected}: {problems:?}"
        );
        assert!(registry.verify(M, "1").unwrap().is_ok());
        let error = registry.promote(M, "2", BEST, "").unwrap_err();
        assert!(
            matches!(error, RegistryError::Damaged { .. }),
            "{expected}: {error}"
        );
    }
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_version_copied_in_by_hand_or_removed_is_found() {
    let root = Root::new();
    let registry = root.registry();
    let id = publish(&registry, 1).version;
    let versions = root.path().join(M).join("versions");
    std::fs::create_dir(versions.join("0002-20251015T120000Z-00000000")).unwrap();
    std::fs::create_dir(versions.join("mine")).unwrap();
    publish(&registry, 3);
    registry_common::writable(&versions.join(id.to_string()));
    std::fs::remove_dir_all(versions.join(id.to_string())).unwrap();
    let report = registry.verify(M, "all").unwrap();
    let text = format!("{report:?}");
    assert!(text.contains("versions/mine: not the registry's"), "{text}");
    assert!(
        text.contains(&format!("version {id} is in the log and missing")),
        "{text}"
    );
    assert!(registry.promote(M, "2", BEST, "").is_err());
}

#[test]
fn a_changed_log_line_stops_writers_and_shows_in_verification() {
    let root = Root::new();
    let registry = root.registry();
    publish(&registry, 1);
    registry.promote(M, "1", BEST, "why").unwrap();
    let path = root.path().join(M).join("deployments.log");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("why", "lie")).unwrap();
    let error = registry.rollback(M, BEST, "").unwrap_err().to_string();
    assert!(error.contains("deployments.log line 2: hash"), "{error}");
    assert!(registry.log(M).is_err());
    assert!(!registry.verify(M, "all").unwrap().is_ok());
    assert_eq!(registry.resolve(M, BEST).unwrap().version.number(), 1);
}

#[cfg(unix)]
#[test]
fn an_alias_moved_by_hand_is_reported_then_logged_and_left_where_it_is() {
    use std::os::unix::fs::symlink;
    let root = Root::new();
    let registry = root.registry();
    let (first, second) = (publish(&registry, 1).version, publish(&registry, 2).version);
    registry.promote(M, "1", BEST, "").unwrap();
    registry.promote(M, "1", "shadow", "").unwrap();
    let link = root.path().join(M).join(BEST);
    std::fs::remove_file(&link).unwrap();
    symlink(format!("versions/{second}"), &link).unwrap();
    let report = registry.verify(M, "all").unwrap();
    assert!(
        report.problems[0].contains("alias `best`: the log says"),
        "{report:?}"
    );
    let published = publish(&registry, 3);
    assert!(
        published.repairs[0].contains("alias `best` was found moved"),
        "{published:?}"
    );
    assert_eq!(registry.resolve(M, BEST).unwrap().version, second);
    assert!(registry.verify(M, "all").unwrap().is_ok());
    assert_eq!(registry.rollback(M, BEST, "").unwrap().to, first);
}

#[test]
fn a_file_where_an_alias_belongs_is_not_replaced() {
    let root = Root::new();
    let registry = root.registry();
    publish(&registry, 1);
    let path = root.path().join(M).join("champion");
    std::fs::write(&path, "precious").unwrap();
    let error = registry.promote(M, "1", "champion", "").unwrap_err();
    assert!(matches!(error, RegistryError::NotAnAlias { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(registry.log(M).unwrap().entries.len(), 1);
    assert!(!registry.verify(M, "all").unwrap().is_ok());
}

#[test]
fn a_torn_last_line_is_kept_aside_recorded_and_cut() {
    let root = Root::new();
    let registry = root.registry();
    publish(&registry, 1);
    let folder = root.path().join(M);
    let log = folder.join("deployments.log");
    let whole = std::fs::read(&log).unwrap();
    let torn = b"{\"seq\":2,\"time\":\"20";
    std::fs::write(&log, [&whole[..], torn].concat()).unwrap();
    let report = registry.verify(M, "all").unwrap();
    assert!(
        report.is_ok() && report.notes[0].contains("19 bytes"),
        "{report:?}"
    );
    assert_eq!(registry.log(M).unwrap().unfinished, torn);
    publish(&registry, 2);
    let entries = registry.log(M).unwrap().entries;
    let Event::Repair { kept } = &entries[1].event else {
        panic!("expected a repair, found {:?}", entries[1]);
    };
    assert_eq!(std::fs::read(folder.join(kept)).unwrap(), torn);
    assert!(std::fs::read(&log).unwrap().starts_with(&whole));
    let report = registry.verify(M, "all").unwrap();
    assert!(report.is_ok() && report.notes.is_empty(), "{report:?}");
}

#[test]
fn a_reader_beside_two_hundred_promotions_never_misses_or_mixes() {
    let root = Root::new();
    let registry = root.registry();
    let files: Vec<_> = (1..=3).map(|n| publish(&registry, n).version).collect();
    registry.promote(M, "1", BEST, "").unwrap();
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Acquire) {
                let found = registry.resolve(M, BEST).unwrap();
                let bytes = std::fs::read(found.model()).unwrap();
                assert_eq!(bytes, bundle(found.version.number()));
                let link = root.path().join(M).join(BEST).join(MODEL);
                let direct = std::fs::read(link).unwrap();
                assert!((1..=3).any(|n| direct == bundle(n)));
                seen.insert(found.version);
            }
            seen
        });
        for i in 0..200 {
            let selector = format!("{}", (i + 1) % 3 + 1);
            registry.promote(M, &selector, BEST, "").unwrap();
        }
        done.store(true, Ordering::Release);
        reader.join().unwrap()
    });
    assert!(seen.iter().all(|version| files.contains(version)) && !seen.is_empty());
    let report = registry.verify(M, "all").unwrap();
    assert!(report.is_ok(), "{report:?}");
    assert_eq!(report.log_entries, 3 + 201);
}

#[test]
fn writers_at_once_get_distinct_numbers_and_one_chain() {
    let root = Root::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let root = &root;
            scope.spawn(move || {
                let registry = root.registry();
                for i in 0..5 {
                    let published = publish(&registry, writer * 5 + i);
                    let number = published.version.number().to_string();
                    registry.promote(M, &number, BEST, "").unwrap();
                }
            });
        }
    });
    let registry = root.registry();
    let numbers: Vec<_> = registry
        .list(M)
        .unwrap()
        .iter()
        .map(|s| s.version.number())
        .collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    let report = registry.verify(M, "all").unwrap();
    assert!(report.is_ok() && report.notes.is_empty(), "{report:?}");
    assert_eq!(report.log_entries, 40);
}
