//! Moving aliases: forward by promotion, back by rollback.

use super::folder::Folder;
use super::log::{Change, Event};
use super::names::{PREVIOUS, check_alias};
use super::verify::version_problems;
use super::writer::Writer;
use super::{Registry, RegistryError, VersionId};
use serde::Serialize;

/// What a promotion or rollback did.
#[derive(Debug, Clone, Serialize)]
pub struct Deployed {
    /// The alias.
    pub alias: String,
    /// Where it pointed before.
    pub from: Option<String>,
    /// Where it points now.
    pub to: VersionId,
    /// `seq` of the log entry; `None` when the alias pointed there already.
    pub entry: Option<u64>,
    /// What an earlier, killed writer had left and how it was settled.
    pub repairs: Vec<String>,
}

impl Registry {
    /// Points `alias` to the version that `selector` stands for (its name or number, `latest`, or another alias), after
    /// verifying that version. `previous` follows `best`.
    ///
    /// # Errors
    /// Unknown names, a version that does not verify, `previous` as alias, or the operating system's.
    pub fn promote(
        &self,
        name: &str,
        selector: &str,
        alias: &str,
        reason: &str,
    ) -> Result<Deployed, RegistryError> {
        let mut writer = self.deployer(name, alias)?;
        let to = writer.folder.select(selector)?;
        let from = writer.history.target(alias).map(str::to_owned);
        if from.as_deref() == Some(&to.to_string()) {
            return Ok(deployed(writer, alias, from, to, None));
        }
        let change = writer.history.forward(alias, &to.to_string());
        let entry = commit(&mut writer, &to, &change, Event::Promote(change.clone()), reason)?;
        Ok(deployed(writer, alias, from, to, Some(entry)))
    }

    /// Points `alias` to where it pointed before its last move that was not taken back; a new log entry.
    ///
    /// # Errors
    /// No earlier target, a target that does not verify, `previous` as alias, or the operating system's.
    pub fn rollback(&self, name: &str, alias: &str, reason: &str) -> Result<Deployed, RegistryError> {
        let mut writer = self.deployer(name, alias)?;
        let change = writer.history.back(alias);
        let change = change.ok_or_else(|| RegistryError::NothingEarlier {
            name: name.to_owned(),
            alias: alias.to_owned(),
        })?;
        let from = change.main.from.clone();
        let to = change.main.to.as_deref().unwrap_or_default();
        let to: VersionId = to.parse().map_err(|problem| RegistryError::Damaged {
            name: name.to_owned(),
            version: to.to_owned(),
            problems: vec![problem],
        })?;
        let entry = commit(&mut writer, &to, &change, Event::Rollback(change.clone()), reason)?;
        Ok(deployed(writer, alias, from, to, Some(entry)))
    }

    fn deployer(&self, name: &str, alias: &str) -> Result<Writer<'_>, RegistryError> {
        check_alias(alias)?;
        if alias == PREVIOUS {
            return Err(RegistryError::Name {
                kind: "alias",
                rule: "another than `previous`, which follows `best`",
                found: alias.to_owned(),
            });
        }
        Writer::open(self, Folder::existing(self.root(), name)?)
    }
}

/// Steps 3 to 5 of the protocol.
fn commit(
    writer: &mut Writer<'_>,
    to: &VersionId,
    change: &Change,
    event: Event,
    reason: &str,
) -> Result<u64, RegistryError> {
    let logged = writer.history.published.get(&to.to_string());
    let problems = version_problems(&writer.folder, to, logged.map(String::as_str));
    if !problems.is_empty() {
        return Err(RegistryError::Damaged {
            name: writer.folder.name.clone(),
            version: to.to_string(),
            problems,
        });
    }
    writer.check_alias_paths(change)?;
    let entry = writer.append(event, reason)?;
    writer.carry_out(change)?;
    Ok(entry)
}

fn deployed(
    writer: Writer<'_>,
    alias: &str,
    from: Option<String>,
    to: VersionId,
    entry: Option<u64>,
) -> Deployed {
    Deployed {
        alias: alias.to_owned(),
        from,
        to,
        entry,
        repairs: writer.repairs,
    }
}
