//! Immutable data sets: a folder named by its content, which training can trust and provenance can name.
//!
//! `<out>/<first 16 digits of the id>/` holds byte copies of the input files and `manifest.json`; the id is the
//! SHA-256 of that file. A snapshot appears by one rename, complete and read-only. The same files give the same id,
//! and creating it again finds the existing one.

use super::bars::{self, ReadOptions, Series};
use super::error::DataError;
use super::frame::Frame;
use super::manifest::{self, FileEntry, Manifest, SeriesEntry};
use serde::Serialize;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the manifest inside a snapshot.
pub const MANIFEST: &str = "manifest.json";
/// Digits of the id that name the folder.
const NAME_DIGITS: usize = 16;

/// A snapshot that exists and verifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Folder.
    pub path: PathBuf,
    /// SHA-256 of the manifest, hexadecimal.
    pub id: String,
    /// What it holds.
    pub manifest: Manifest,
}

/// Copies bar files into a new snapshot under `out`, or finds the one that already holds them.
///
/// # Errors
/// Files that cannot be read, two files of one name, series that do not pass [`Series::check`] or overlap;
/// an existing snapshot of this id that does not verify.
pub fn create(out: &Path, files: &[PathBuf], options: &ReadOptions) -> Result<Snapshot, DataError> {
    distinct_names(files)?;
    fs::create_dir_all(out).map_err(DataError::io(out))?;
    let temporary = tempfile::Builder::new()
        .prefix(".snapshot-")
        .tempdir_in(out)
        .map_err(DataError::io(out))?;
    // The folder inside gets the default permissions; the temporary one is closed to others.
    let staged = temporary.path().join("snapshot");
    fs::create_dir(&staged).map_err(DataError::io(&staged))?;
    let mut entries = Vec::new();
    let mut series = Vec::new();
    for file in files {
        let (entry, found) = stage(file, &staged, options)?;
        entries.push(entry);
        series.extend(found);
    }
    bars::join(series)?;
    let manifest = Manifest::new(entries);
    let bytes = manifest.to_bytes();
    write_durably(&staged.join(MANIFEST), |file| io::Write::write_all(file, &bytes))?;
    sync_folder(&staged)?;
    let id = manifest::sha256(&bytes);
    let path = out.join(&id[..NAME_DIGITS]);
    publish(&staged, &path)?;
    Ok(Snapshot { path, id, manifest })
}

fn distinct_names(files: &[PathBuf]) -> Result<(), DataError> {
    let refuse = |found: String| DataError::Setting {
        name: "files of a snapshot",
        expected: "one or more, with distinct names",
        found,
    };
    let mut names = BTreeSet::new();
    for file in files {
        if !names.insert(file.file_name()) {
            return Err(refuse(format!("{} a second time", file.display())));
        }
    }
    if names.is_empty() {
        Err(refuse("none".into()))
    } else {
        Ok(())
    }
}

/// Copies one file and describes the copy.
fn stage(file: &Path, folder: &Path, options: &ReadOptions) -> Result<(FileEntry, Vec<Series>), DataError> {
    let name = file
        .file_name()
        .and_then(OsStr::to_str)
        .ok_or_else(|| DataError::Malformed {
            path: file.to_owned(),
            detail: "expected a file name in UTF-8".into(),
        })?;
    let copy = folder.join(name);
    let mut source = File::open(file).map_err(DataError::io(file))?;
    let mut hashed = (String::new(), 0);
    write_durably(&copy, |target| {
        hashed = manifest::sha256_of(&mut source, target)?;
        Ok(())
    })?;
    let (time_unit, series) = checked(&copy, options).map_err(|error| error.moved(&copy, file))?;
    let (sha256, bytes) = hashed;
    let entry = FileEntry {
        name: name.to_owned(),
        sha256,
        bytes,
        time_unit,
        table: options.is_table,
        series: series.iter().map(SeriesEntry::of).collect(),
    };
    let original = |mut one: Series| {
        file.clone_into(&mut one.source);
        one
    };
    Ok((entry, series.into_iter().map(original).collect()))
}

type Checked = (Option<super::time::TimeUnit>, Vec<Series>);

fn checked(path: &Path, options: &ReadOptions) -> Result<Checked, DataError> {
    let file = bars::read(path, options)?;
    file.series.iter().try_for_each(Series::check)?;
    Ok((file.time_unit, file.series))
}

/// Writes a new file, forces it to the disk and takes the right to write away.
fn write_durably(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), DataError> {
    let mut file = File::create_new(path).map_err(DataError::io(path))?;
    write(&mut file).map_err(DataError::io(path))?;
    file.sync_all().map_err(DataError::io(path))?;
    let mut permissions = file.metadata().map_err(DataError::io(path))?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions).map_err(DataError::io(path))
}

fn sync_folder(folder: &Path) -> Result<(), DataError> {
    if cfg!(unix) {
        let file = File::open(folder).map_err(DataError::io(folder))?;
        file.sync_all().map_err(DataError::io(folder))?;
    }
    Ok(())
}

/// Gives the staged folder its name, unless a snapshot with that content is there already.
fn publish(staged: &Path, path: &Path) -> Result<(), DataError> {
    if !path.exists() {
        match fs::rename(staged, path) {
            Ok(()) => return sync_folder(path.parent().unwrap_or(Path::new("."))),
            // Another process published the same content in between.
            Err(_) if path.exists() => {}
            Err(error) => return Err(DataError::io(path)(error)),
        }
    }
    examine(path, &[])?.sound(path).map(|_| ())
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// SHA-256 of the manifest as it stands.
    pub id: String,
    /// Files the manifest names.
    pub n_files: usize,
    /// Bars read.
    pub n_bars: usize,
    /// Everything that is not as it was; empty for a sound snapshot.
    pub problems: Vec<String>,
}

/// Reads everything again and compares it with the manifest and the folder's name.
///
/// # Errors
/// A folder without a readable manifest is no snapshot; everything else is a problem in the answer.
pub fn verify(path: &Path) -> Result<Verification, DataError> {
    let examined = examine(path, &[])?;
    Ok(Verification {
        id: examined.id,
        n_files: examined.manifest.map_or(0, |manifest| manifest.files.len()),
        n_bars: examined.series.iter().map(|one| one.bars.len()).sum(),
        problems: examined.problems,
    })
}

/// Reads a snapshot for training: one series per symbol, in time order, sorted by symbol.
///
/// # Errors
/// [`DataError::Snapshot`] when it does not verify, which includes disordered and duplicated bars.
pub fn load(path: &Path) -> Result<(Snapshot, Vec<Series>), DataError> {
    load_with(path, &[])
}

/// The same with columns of the files beside the bars, which every file must have.
///
/// # Errors
/// As [`load`]; a column that is missing or holds something else than numbers.
pub fn load_with(path: &Path, columns: &[String]) -> Result<(Snapshot, Vec<Series>), DataError> {
    let examined = examine(path, columns)?;
    let (snapshot, series) = examined.sound(path)?;
    Ok((snapshot, bars::join(series)?))
}

/// The manifest of a snapshot as it stands, without reading the data.
///
/// # Errors
/// A folder without a readable manifest of a known format.
pub fn show(path: &Path) -> Result<Snapshot, DataError> {
    let manifest_path = path.join(MANIFEST);
    let bytes = fs::read(&manifest_path).map_err(DataError::io(&manifest_path))?;
    let manifest = Manifest::parse(&bytes).map_err(|problems| DataError::Snapshot {
        path: path.to_owned(),
        problems,
    })?;
    Ok(Snapshot {
        path: path.to_owned(),
        id: manifest::sha256(&bytes),
        manifest,
    })
}

struct Examined {
    id: String,
    manifest: Option<Manifest>,
    series: Vec<Series>,
    problems: Vec<String>,
}

impl Examined {
    fn sound(self, path: &Path) -> Result<(Snapshot, Vec<Series>), DataError> {
        match self.manifest.filter(|_| self.problems.is_empty()) {
            Some(manifest) => Ok((
                Snapshot {
                    path: path.to_owned(),
                    id: self.id,
                    manifest,
                },
                self.series,
            )),
            None => Err(DataError::Snapshot {
                path: path.to_owned(),
                problems: self.problems.join("; "),
            }),
        }
    }
}

fn examine(path: &Path, columns: &[String]) -> Result<Examined, DataError> {
    let manifest_path = path.join(MANIFEST);
    let bytes = fs::read(&manifest_path).map_err(DataError::io(&manifest_path))?;
    let mut examined = Examined {
        id: manifest::sha256(&bytes),
        manifest: None,
        series: Vec::new(),
        problems: Vec::new(),
    };
    examined.problems.extend(misnamed(path, &examined.id)?);
    match Manifest::parse(&bytes) {
        Err(problem) => examined.problems.push(problem),
        Ok(manifest) => {
            examined.problems.extend(extra_files(path, &manifest)?);
            for entry in &manifest.files {
                match examine_file(path, entry) {
                    Ok(series) if columns.is_empty() => examined.series.extend(series),
                    Ok(series) => {
                        let frame = Frame::read(&path.join(&entry.name), columns)?;
                        let with = |one: Series| one.with_columns(&frame, columns);
                        let series: Result<Vec<Series>, DataError> = series.into_iter().map(with).collect();
                        examined.series.extend(series?);
                    }
                    Err(problem) => examined.problems.push(format!("{}: {problem}", entry.name)),
                }
            }
            examined.manifest = Some(manifest);
        }
    }
    Ok(examined)
}

/// A manifest that was changed along with its files still betrays itself by the folder's name.
fn misnamed(path: &Path, id: &str) -> Result<Option<String>, DataError> {
    let real = fs::canonicalize(path).map_err(DataError::io(path))?;
    let found = real.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let expected = &id[..NAME_DIGITS];
    Ok((found != expected)
        .then(|| format!("folder name: expected {expected} for this manifest, found {found}")))
}

fn extra_files(path: &Path, manifest: &Manifest) -> Result<Vec<String>, DataError> {
    let known: BTreeSet<&str> = manifest
        .files
        .iter()
        .map(|file| file.name.as_str())
        .chain([MANIFEST])
        .collect();
    let mut extra = Vec::new();
    for entry in fs::read_dir(path).map_err(DataError::io(path))? {
        let name = entry.map_err(DataError::io(path))?.file_name();
        if !name.to_str().is_some_and(|name| known.contains(name)) {
            extra.push(format!(
                "{}: expected nothing, found an entry the manifest does not name",
                name.display()
            ));
        }
    }
    extra.sort();
    Ok(extra)
}

fn examine_file(folder: &Path, entry: &FileEntry) -> Result<Vec<Series>, String> {
    if Path::new(&entry.name).file_name() != Some(OsStr::new(&entry.name)) {
        return Err("expected a plain file name".into());
    }
    let path = folder.join(&entry.name);
    let metadata = fs::symlink_metadata(&path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("expected a file, found a link or folder".into());
    }
    let hashed = File::open(&path).and_then(|mut file| manifest::sha256_of(&mut file, &mut io::sink()));
    let (sha256, bytes) = hashed.map_err(|error| error.to_string())?;
    if bytes != entry.bytes {
        return Err(format!("expected {} bytes, found {bytes}", entry.bytes));
    }
    if sha256 != entry.sha256 {
        return Err(format!("expected SHA-256 {}, found {sha256}", entry.sha256));
    }
    let options = ReadOptions {
        time_unit: entry.time_unit,
        is_table: entry.table,
    };
    let (_, series) = checked(&path, &options).map_err(|error| error.to_string())?;
    let found: Vec<SeriesEntry> = series.iter().map(SeriesEntry::of).collect();
    if found != entry.series {
        return Err("expected the series the manifest describes, found others".into());
    }
    Ok(series)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARS: &str = "ts,open,high,low,close,volume\n\
        1746372780000,1,4,0.5,2,7\n1746372840000,2,4,0.5,3,7\n1746372900000,3,4,0.5,1,7\n";

    struct Inputs {
        folder: tempfile::TempDir,
    }

    impl Inputs {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
            }
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        }

        fn out(&self) -> PathBuf {
            self.folder.path().join("snapshots")
        }

        fn create(&self, files: &[PathBuf]) -> Result<Snapshot, DataError> {
            create(&self.out(), files, &ReadOptions::default())
        }

        fn sound(&self) -> Snapshot {
            self.create(&[self.file("A.csv", BARS), self.file("B.csv", BARS)])
                .unwrap()
        }
    }

    fn unlock(path: &Path) {
        let mut permissions = fs::metadata(path).unwrap().permissions();
        #[expect(
            clippy::permissions_set_readonly_false,
            reason = "a test plays the vandal on its own file"
        )]
        permissions.set_readonly(false);
        fs::set_permissions(path, permissions).unwrap();
    }

    fn overwrite(path: &Path, text: impl AsRef<[u8]>) {
        unlock(path);
        fs::write(path, text).unwrap();
    }

    fn problems(snapshot: &Snapshot) -> Vec<String> {
        verify(&snapshot.path).unwrap().problems
    }

    #[test]
    fn a_snapshot_loads_what_was_put_in() {
        let inputs = Inputs::new();
        let made = inputs.sound();
        assert_eq!(made.manifest.bars, 6);
        assert_eq!(made.path, inputs.out().join(&made.id[..16]));
        assert_eq!(
            made.id,
            manifest::sha256(&fs::read(made.path.join(MANIFEST)).unwrap())
        );
        let (loaded, series) = load(&made.path).unwrap();
        assert_eq!(loaded, made);
        let symbols: Vec<&str> = series.iter().map(|one| one.symbol.as_str()).collect();
        assert_eq!(symbols, ["A", "B"]);
        assert_eq!(series[0].bars[2].close, 1.0);
    }

    #[test]
    fn the_same_files_in_any_order_give_the_same_snapshot_once() {
        let inputs = Inputs::new();
        let made = inputs.sound();
        let files = [inputs.file("B.csv", BARS), inputs.file("A.csv", BARS)];
        assert_eq!(inputs.create(&files).unwrap(), made);
        let entries = fs::read_dir(inputs.out()).unwrap().count();
        assert_eq!(entries, 1, "nothing temporary stays");
    }

    #[test]
    fn files_of_a_snapshot_are_read_only() {
        let inputs = Inputs::new();
        for entry in fs::read_dir(inputs.sound().path).unwrap() {
            assert!(entry.unwrap().metadata().unwrap().permissions().readonly());
        }
    }

    #[test]
    fn a_declared_time_unit_is_remembered() {
        let inputs = Inputs::new();
        let file = inputs.file(
            "A.csv",
            "ts,open,high,low,close,volume\n0,1,1,1,1,1\n60,1,1,1,1,1\n",
        );
        let options = ReadOptions {
            time_unit: Some(super::super::time::TimeUnit::S),
            ..ReadOptions::default()
        };
        let made = create(&inputs.out(), &[file], &options).unwrap();
        let (_, series) = load(&made.path).unwrap();
        assert_eq!(series[0].interval_ns(), Some(60_000_000_000));
    }

    #[test]
    fn every_change_is_found_and_refused_on_loading() {
        type Change = fn(&Path);
        let changes: [(Change, &str); 7] = [
            (
                |path| overwrite(&path.join("A.csv"), BARS.replace("2,7", "3,7")),
                "A.csv: expected SHA-256",
            ),
            (
                |path| overwrite(&path.join("A.csv"), &BARS[..60]),
                "A.csv: expected 108 bytes, found 60",
            ),
            (|path| fs::remove_file(path.join("B.csv")).unwrap(), "B.csv: "),
            (
                |path| fs::write(path.join("C.csv"), BARS).unwrap(),
                "C.csv: expected nothing",
            ),
            (
                |path| fs::create_dir(path.join("more")).unwrap(),
                "more: expected nothing",
            ),
            (
                |path| overwrite(&path.join(MANIFEST), "{}"),
                "folder name: expected",
            ),
            (
                |path| {
                    let text = fs::read_to_string(path.join(MANIFEST)).unwrap();
                    overwrite(
                        &path.join(MANIFEST),
                        text.replacen("\"rows\": 3", "\"rows\": 4", 1),
                    );
                },
                "folder name: expected",
            ),
        ];
        for (change, expected) in changes {
            let inputs = Inputs::new();
            let made = inputs.sound();
            change(&made.path);
            let found = problems(&made);
            assert!(found[0].starts_with(expected), "{found:?}");
            assert!(matches!(load(&made.path), Err(DataError::Snapshot { .. })));
            let again = inputs.create(&[inputs.file("A.csv", BARS), inputs.file("B.csv", BARS)]);
            assert!(
                matches!(again, Err(DataError::Snapshot { .. })),
                "a spoilt snapshot is not found again"
            );
        }
    }

    #[test]
    fn a_forged_snapshot_of_disordered_bars_is_refused_with_rows() {
        let inputs = Inputs::new();
        let disordered = BARS.replace("1746372840000", "1746372780000");
        let file = inputs.file("A.csv", &disordered);
        let refused = inputs
            .create(std::slice::from_ref(&file))
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("A.csv: A: 1 with the time of an earlier row (row 2)"),
            "{refused}"
        );
        assert!(
            refused.starts_with(&file.display().to_string()),
            "names the input, not the copy: {refused}"
        );
        let series = bars::read(&file, &ReadOptions::default()).unwrap().series;
        let (sha256, bytes) = (manifest::sha256(disordered.as_bytes()), disordered.len() as u64);
        let series = series.iter().map(SeriesEntry::of).collect();
        let manifest = Manifest::new(vec![FileEntry {
            name: "A.csv".into(),
            sha256,
            bytes,
            time_unit: None,
            table: false,
            series,
        }]);
        let text = manifest.to_bytes();
        let path = inputs.folder.path().join(&manifest::sha256(&text)[..16]);
        fs::create_dir(&path).unwrap();
        fs::write(path.join(MANIFEST), text).unwrap();
        fs::copy(&file, path.join("A.csv")).unwrap();
        let found = load(&path).unwrap_err().to_string();
        assert!(
            found.contains("1 with the time of an earlier row (row 2)"),
            "{found}"
        );
    }

    #[test]
    fn two_files_of_one_name_or_time_are_refused() {
        let inputs = Inputs::new();
        fs::create_dir(inputs.folder.path().join("x")).unwrap();
        let files = [inputs.file("A.csv", BARS), inputs.file("x/A.csv", BARS)];
        assert!(
            inputs
                .create(&files)
                .unwrap_err()
                .to_string()
                .contains("x/A.csv a second time")
        );
        let files = [inputs.file("A.1.csv", BARS), inputs.file("A.2.csv", BARS)];
        assert!(matches!(inputs.create(&files), Err(DataError::Overlap { .. })));
        assert!(
            inputs
                .create(&[])
                .unwrap_err()
                .to_string()
                .ends_with("found none")
        );
    }

    #[test]
    fn a_missing_input_is_named() {
        let inputs = Inputs::new();
        let error = inputs
            .create(&[inputs.folder.path().join("none.csv")])
            .unwrap_err();
        assert!(
            matches!(error, DataError::Io { path, .. } if path.ends_with("none.csv") && path.starts_with(inputs.folder.path()))
        );
    }

    #[test]
    fn a_folder_without_a_manifest_is_no_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(verify(folder.path()), Err(DataError::Io { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_place_of_a_file_is_refused() {
        let inputs = Inputs::new();
        let made = inputs.sound();
        fs::remove_file(made.path.join("A.csv")).unwrap();
        std::os::unix::fs::symlink(inputs.folder.path().join("A.csv"), made.path.join("A.csv")).unwrap();
        assert_eq!(
            problems(&made),
            ["A.csv: expected a file, found a link or folder"]
        );
    }
}
