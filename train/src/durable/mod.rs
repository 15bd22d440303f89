//! File changes that survive a kill: every one is either done or not done, and flushed before the next begins.
//!
//! A file is written under a temporary name in its own folder, flushed, renamed into place, and the folder is flushed;
//! a symlink is swapped and a folder published the same way. Readers therefore see the old state or the new one.
//! Temporary names start with `.tmp-`; whoever owns the folder may remove them when nobody writes ([`is_temporary`]).
//! Each step passes a [`fault`] point, so that tests can end the program between any two of them.

pub mod fault;

use fault::{Step, point};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const TEMPORARY: &str = ".tmp-";

/// Replaces the file at `path` by `bytes`; a reader sees the old file or the new one, whole.
///
/// # Errors
/// The operating system's; the old file is then unchanged, unless flushing the folder failed after the rename.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = parent(path);
    let temporary = temporary_in(folder);
    write_new(&temporary, bytes)
        .and_then(|()| rename(&temporary, path))
        .inspect_err(|_| discard(&temporary))
}

/// Writes a file that must not exist yet and flushes it; its folder is left for the caller to flush.
///
/// # Errors
/// `AlreadyExists`, or the operating system's.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    point(Step::CreateFile)?;
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    write_flushed(file, bytes)
}

/// Appends `bytes` to a file, creating it where missing, and flushes file and folder.
///
/// Not atomic: a kill can leave a part of `bytes` behind, which the reader of such a file must recognise.
///
/// # Errors
/// The operating system's.
pub fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    point(Step::Append)?;
    let created = !path.try_exists()?;
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    write_flushed(file, bytes)?;
    if created { sync_dir(parent(path)) } else { Ok(()) }
}

/// Cuts a file to its first `len` bytes and flushes it.
///
/// # Errors
/// The operating system's.
pub fn truncate(path: &Path, len: u64) -> io::Result<()> {
    point(Step::Truncate)?;
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(len)?;
    file.sync_all()
}

/// Creates a folder, with its parents, and flushes the folder that holds each new one.
///
/// # Errors
/// The operating system's; that the folder exists is none.
pub fn create_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    create_dir(parent(path))?;
    point(Step::CreateFolder)?;
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other,
    }?;
    sync_dir(parent(path))
}

/// Renames a file or folder inside one folder (or file system) and flushes the folder of the new name.
///
/// # Errors
/// The operating system's.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    point(Step::Rename)?;
    std::fs::rename(from, to)?;
    sync_dir(parent(to))
}

/// Lets the symlink at `link` point to `target`, whether it existed or not; a reader sees the old target or the new.
///
/// # Errors
/// The operating system's; `Unsupported` where there are no symlinks.
pub fn replace_symlink(link: &Path, target: &Path) -> io::Result<()> {
    let temporary = temporary_in(parent(link));
    point(Step::CreateSymlink)?;
    symlink(target, &temporary)?;
    rename(&temporary, link).inspect_err(|_| discard(&temporary))
}

/// Removes a file or symlink and flushes its folder.
///
/// # Errors
/// The operating system's.
pub fn remove_file(path: &Path) -> io::Result<()> {
    point(Step::Remove)?;
    std::fs::remove_file(path)?;
    sync_dir(parent(path))
}

/// Removes a folder with all it holds and flushes the folder it was in.
///
/// # Errors
/// The operating system's.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    point(Step::Remove)?;
    std::fs::remove_dir_all(path)?;
    sync_dir(parent(path))
}

/// Takes the permission to write from a file or folder; a folder's entries can then not be replaced either.
///
/// # Errors
/// The operating system's.
pub fn set_read_only(path: &Path) -> io::Result<()> {
    point(Step::Protect)?;
    let mut permissions = std::fs::metadata(path)?.permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(path, permissions)
}

/// Flushes a folder: names created, renamed or removed in it survive a loss of power from here on.
///
/// # Errors
/// The operating system's. Where folders cannot be opened as files (Windows) this does nothing.
pub fn sync_dir(folder: &Path) -> io::Result<()> {
    point(Step::FlushFolder)?;
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// A name in `folder` that no other call of this process gets.
#[must_use]
pub fn temporary_in(folder: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{TEMPORARY}{}-{n}", std::process::id()));
        if path.symlink_metadata().is_err() {
            return path;
        }
    }
}

/// Whether a file name is one that [`temporary_in`] makes.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY)
}

/// Writes in two halves, so that a fault point can leave a torn file.
fn write_flushed(mut file: File, bytes: &[u8]) -> io::Result<()> {
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    file.write_all(head)?;
    point(Step::WriteHalf)?;
    file.write_all(tail)?;
    point(Step::FlushFile)?;
    file.sync_all()
}

fn discard(temporary: &Path) {
    // The error that led here is the one worth reporting; a leftover has a temporary name.
    let _ = std::fs::remove_file(temporary);
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) => Path::new("."),
        None => path,
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_target: &Path, link: &Path) -> io::Result<()> {
    let text = format!("{}: this platform has no symlinks for aliases", link.display());
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_atomic_write_replaces_the_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"").unwrap();
        write_atomic(&path, b"newer").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"newer");
        assert_eq!(names(folder.path()), ["state.json"]);
    }

    #[test]
    fn a_failed_atomic_write_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let occupied = folder.path().join("folder");
        std::fs::create_dir_all(occupied.join("inside")).unwrap();
        assert!(write_atomic(&occupied, b"x").is_err());
        assert_eq!(names(folder.path()), ["folder"]);
    }

    #[test]
    fn a_new_file_never_replaces_an_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("once");
        write_new(&path, b"first").unwrap();
        let error = write_new(&path, b"second").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn appending_creates_and_extends_and_truncating_cuts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        append(&path, b"one\n").unwrap();
        append(&path, b"two\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
        truncate(&path, 4).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\n");
    }

    #[test]
    fn folders_are_created_with_their_parents_once_or_twice() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        create_dir(&deep).unwrap();
        create_dir(&deep).unwrap();
        assert!(deep.is_dir());
        std::fs::write(folder.path().join("file"), b"").unwrap();
        assert!(create_dir(&folder.path().join("file")).is_err());
    }

    #[test]
    fn a_bare_file_name_lies_in_the_current_folder() {
        assert_eq!(parent(Path::new("x")), Path::new("."));
        assert_eq!(parent(Path::new("a/x")), Path::new("a"));
        assert_eq!(parent(Path::new("/")), Path::new("/"));
    }

    #[test]
    fn temporary_names_differ_and_are_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (temporary_in(folder.path()), temporary_in(folder.path()));
        assert_ne!(a, b);
        assert!(is_temporary(a.file_name().unwrap().to_str().unwrap()));
        assert!(!is_temporary("model.safetensors"));
    }

    #[cfg(unix)]
    #[test]
    fn a_symlink_is_created_and_swapped_even_when_it_dangles() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("best");
        replace_symlink(&link, Path::new("versions/1")).unwrap();
        replace_symlink(&link, Path::new("versions/2")).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("versions/2"));
        assert_eq!(names(folder.path()), ["best"]);
        remove_file(&link).unwrap();
        assert!(names(folder.path()).is_empty());
    }
}
