//! The zip container of `torch.save`: stored entries under one root folder, `<root>/data.pkl` and `<root>/data/<key>`.
//!
//! Stricter than zip itself, which lets two readers see two archives in one file: the end record is the last thing in
//! the file and the directory ends where it starts; the entries' data do not overlap; names are unique and agree
//! between directory and entry; entries are stored, not compressed; checksums are verified when an entry is read.
//! A file whose checksums are all zero has none (`torch.serialization.set_crc32_options(False)`).
//! Format: PKWARE APPNOTE 6.3, sections 4.3 to 4.5.

mod fields;

use super::error::{Fault, Problem};
use super::limits::Limits;
use fields::{Fields, container};
use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const LOCATOR64: u32 = 0x0706_4b50;
const END_BYTES: usize = 22;
const END64_BYTES: usize = 56;
const LOCATOR64_BYTES: usize = 20;
const LOCAL_BYTES: usize = 30;
const FLAG_ENCRYPTED: u16 = 1;
/// Sizes and checksum stand behind the data and in the directory; the header in front of the data has zeros.
const FLAG_DESCRIPTOR: u16 = 8;

/// An opened container; cheap to share, it holds the file's bytes once.
pub(super) struct Archive {
    file: Arc<Vec<u8>>,
    root: String,
    entries: HashMap<String, Entry>,
    has_checksums: bool,
}

struct Entry {
    header: usize,
    flags: u16,
    checksum: u32,
    is_verified: Cell<bool>,
    data: Range<usize>,
}

impl Entry {
    fn verify(&self, file: &[u8], name: &str) -> Result<(), Problem> {
        let found = crc32fast::hash(&file[self.data.clone()]);
        if found != self.checksum {
            let expected = format!("checksum {:08x}", self.checksum);
            let fault = Fault::new(expected, format!("{found:08x}: the file is damaged"));
            return Err(container(&format!("entry `{name}`"), self.data.start, fault));
        }
        self.is_verified.set(true);
        Ok(())
    }
}

/// What the end records say about the directory.
struct Directory {
    entries: u64,
    range: Range<usize>,
}

impl Archive {
    pub(super) fn new(file: Vec<u8>, limits: &Limits) -> Result<Self, Problem> {
        let directory = directory(&file)?;
        Fault::above("entries", directory.entries, limits.entries)
            .map_err(|fault| container("end record", file.len(), fault))?;
        let entries = entries(&file, &directory)?;
        check_overlap(&entries, directory.range.start)?;
        let root = root(&entries)?;
        let archive = Self {
            has_checksums: entries.values().any(|e| e.checksum != 0),
            file: Arc::new(file),
            root,
            entries,
        };
        archive.check_byte_order()?;
        Ok(archive)
    }

    /// The whole file; ranges of entries refer to it.
    pub(super) fn file(&self) -> &Arc<Vec<u8>> {
        &self.file
    }

    /// Where the data of `<root>/<name>` lies, after its checksum was verified.
    pub(super) fn entry(&self, name: &str) -> Result<Range<usize>, Problem> {
        let name = format!("{}/{name}", self.root);
        let entry = self.entries.get(&name).ok_or_else(|| {
            let fault = Fault::new(
                format!("an entry `{name}`"),
                format!("{} others", self.entries.len()),
            );
            container("directory", self.file.len(), fault)
        })?;
        if self.has_checksums && !entry.is_verified.get() {
            entry.verify(&self.file, &name)?;
        }
        Ok(entry.data.clone())
    }

    fn check_byte_order(&self) -> Result<(), Problem> {
        if !self.entries.contains_key(&format!("{}/byteorder", self.root)) {
            return Ok(());
        }
        let range = self.entry("byteorder")?;
        let found = &self.file[range.clone()];
        if found == b"little" {
            return Ok(());
        }
        let fault = Fault::new("byte order `little`", format!("`{}`", found.escape_ascii()));
        Err(container("entry `byteorder`", range.start, fault))
    }
}

fn directory(file: &[u8]) -> Result<Directory, Problem> {
    let at = file.len().saturating_sub(END_BYTES);
    let mut end = Fields::new(file, "end record", at);
    if file.len() < END_BYTES || end.u32()? != END {
        let found = "none: not a zip file, truncated, or followed by other bytes";
        return Err(container(
            "end record",
            at,
            Fault::new(
                "an end record as the last 22 bytes (torch.save writes zip files since PyTorch 1.6)",
                found,
            ),
        ));
    }
    let disks = u32::from(end.u16()?) | u32::from(end.u16()?);
    end.check("disk number", 0, u64::from(disks))?;
    let (here, all) = (end.u16()?, end.u16()?);
    end.check("entries on this disk", u64::from(all), u64::from(here))?;
    let (size, start) = (end.u32()?, end.u32()?);
    let comment = end.u16()?;
    end.check("comment length", 0, u64::from(comment))?;
    let counts = [u64::from(all), u64::from(size), u64::from(start)];
    let narrow = [u64::from(u16::MAX), u64::from(u32::MAX), u64::from(u32::MAX)];
    match end64(file, at)? {
        Some((wide, at64)) => {
            for i in 0..3 {
                if counts[i] != narrow[i] {
                    end.check("the same number as in the zip64 record,", wide[i], counts[i])?;
                }
            }
            checked_directory(wide, at64)
        }
        None => checked_directory(counts, at),
    }
}

/// Entries, size and start of the directory by the zip64 record, and where that record begins.
fn end64(file: &[u8], end: usize) -> Result<Option<([u64; 3], usize)>, Problem> {
    let Some(at) = end.checked_sub(LOCATOR64_BYTES) else {
        return Ok(None);
    };
    let mut locator = Fields::new(file, "zip64 locator", at);
    if locator.u32()? != LOCATOR64 {
        return Ok(None);
    }
    let (disk, at64, disks) = (locator.u32()?, locator.u64()?, locator.u32()?);
    locator.check("disk number", 0, u64::from(disk))?;
    locator.check("disks", 1, u64::from(disks))?;
    let expected = at.saturating_sub(END64_BYTES);
    locator.check("offset of the zip64 record", expected as u64, at64)?;
    let mut record = Fields::new(file, "zip64 end record", expected);
    record.signature(END64)?;
    let rest = record.u64()?;
    record.check("length", END64_BYTES as u64 - 12, rest)?;
    let _versions = record.u32()?;
    let disks = u64::from(record.u32()? | record.u32()?);
    record.check("disk number", 0, disks)?;
    let (here, all) = (record.u64()?, record.u64()?);
    record.check("entries on this disk", all, here)?;
    Ok(Some(([all, record.u64()?, record.u64()?], expected)))
}

/// The directory must end where the first end record begins.
fn checked_directory([entries, size, start]: [u64; 3], end: usize) -> Result<Directory, Problem> {
    if start.checked_add(size) != Some(end as u64) {
        let fault = Fault::new(
            format!("a directory that ends at byte {end}"),
            format!("start {start}, size {size}"),
        );
        return Err(container("end record", end, fault));
    }
    Ok(Directory {
        entries,
        range: start as usize..end,
    })
}

fn entries(file: &[u8], directory: &Directory) -> Result<HashMap<String, Entry>, Problem> {
    let mut at = directory.range.start;
    let mut entries = HashMap::new();
    for i in 0..directory.entries {
        let record = format!("directory entry {i}");
        let mut fields = Fields::new(&file[..directory.range.end], &record, at);
        let (name, entry) = central(&mut fields, directory.range.start)?;
        at = fields.at;
        check_local(file, &name, &entry)?;
        if entries.insert(name.clone(), entry).is_some() {
            return Err(fields.refuse("unique names", format!("`{name}` twice")));
        }
    }
    if at != directory.range.end {
        let fault = Fault::new(
            format!("{} entries up to byte {}", directory.entries, directory.range.end),
            format!("the last one ends at byte {at}"),
        );
        return Err(container("directory", at, fault));
    }
    Ok(entries)
}

/// One record of the directory, and where its data lies by the lengths in front of it.
fn central(fields: &mut Fields<'_>, directory: usize) -> Result<(String, Entry), Problem> {
    fields.signature(CENTRAL)?;
    let _versions = fields.u32()?;
    let flags = fields.u16()?;
    fields.check("flag of encryption", 0, u64::from(flags & FLAG_ENCRYPTED))?;
    let method = fields.u16()?;
    if method != 0 {
        return Err(fields.refuse(
            "a stored entry (method 0)",
            format!("compression method {method}"),
        ));
    }
    let _time = fields.u32()?;
    let checksum = fields.u32()?;
    let narrow = [fields.u32()?, fields.u32()?];
    let (name, extra, comment) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let _disk_and_attributes = fields.take::<8>()?;
    let header = fields.u32()?;
    let name = text(fields, usize::from(name))?;
    let extra = fields.slice(usize::from(extra))?;
    fields.slice(usize::from(comment))?;
    let [size, stored, header] = widened([narrow[1], narrow[0], header], extra, &name)?;
    fields.check("stored size (the size)", size, stored)?;
    let data = data_range(fields, header, size, directory)?;
    let header = header as usize;
    Ok((
        name,
        Entry {
            header,
            flags,
            checksum,
            is_verified: Cell::new(false),
            data,
        },
    ))
}

fn text(fields: &mut Fields<'_>, n: usize) -> Result<String, Problem> {
    let bytes = fields.slice(n)?;
    String::from_utf8(bytes.to_vec())
        .map_err(|_| fields.refuse("a name in UTF-8", format!("`{}`", bytes.escape_ascii())))
}

/// Numbers that do not fit 32 bits stand in the zip64 field, in this order, and only those.
fn widened(narrow: [u32; 3], mut extra: &[u8], name: &str) -> Result<[u64; 3], Problem> {
    let mut wide = narrow.map(u64::from);
    if !narrow.contains(&u32::MAX) {
        return Ok(wide);
    }
    let record = format!("zip64 field of `{name}`");
    while !extra.is_empty() {
        let mut fields = Fields::new(extra, &record, 0);
        let (id, n) = (fields.u16()?, fields.u16()?);
        let body = fields.slice(usize::from(n))?;
        extra = &extra[fields.at..];
        if id == 1 {
            let mut fields = Fields::new(body, &record, 0);
            for value in wide.iter_mut().filter(|v| **v == u64::from(u32::MAX)) {
                *value = fields.u64()?;
            }
            return Ok(wide);
        }
    }
    Err(container(&record, 0, Fault::new("sizes of 64 bits", "none")))
}

/// Where an entry's data lies: behind its header, whose lengths of name and padding stand in the header itself.
fn data_range(
    fields: &Fields<'_>,
    header: u64,
    size: u64,
    directory: usize,
) -> Result<Range<usize>, Problem> {
    let outside = || {
        fields.refuse(
            format!("data in front of byte {directory}"),
            format!("{size} bytes at {header}"),
        )
    };
    let start = usize::try_from(header)
        .ok()
        .filter(|h| *h < directory)
        .ok_or_else(outside)?;
    let mut lengths = Fields::new(fields.file, fields.record, start + LOCAL_BYTES - 4);
    let (name, extra) = (lengths.u16()?, lengths.u16()?);
    let start = start + LOCAL_BYTES + usize::from(name) + usize::from(extra);
    let end = usize::try_from(size)
        .ok()
        .and_then(|size| start.checked_add(size));
    let end = end.filter(|end| *end <= directory).ok_or_else(outside)?;
    Ok(start..end)
}

/// The header in front of the data must say what the directory says.
fn check_local(file: &[u8], name: &str, entry: &Entry) -> Result<(), Problem> {
    let record = format!("entry `{name}`");
    let mut fields = Fields::new(file, &record, entry.header);
    fields.signature(LOCAL)?;
    let _version = fields.u16()?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.check("flags", u64::from(entry.flags), u64::from(flags))?;
    fields.check("compression method", 0, u64::from(method))?;
    let _time = fields.u32()?;
    let found = [fields.u32()?, fields.u32()?, fields.u32()?].map(u64::from);
    let n_name = fields.u16()?;
    let _extra = fields.u16()?;
    let local_name = fields.slice(usize::from(n_name))?;
    if local_name != name.as_bytes() {
        let found = format!("`{}` in front of the data", local_name.escape_ascii());
        return Err(fields.refuse(format!("the name `{name}`"), found));
    }
    if entry.flags & FLAG_DESCRIPTOR != 0 && found == [0; 3] {
        return Ok(());
    }
    let size = (entry.data.len() as u64).min(u64::from(u32::MAX));
    fields.check("checksum", u64::from(entry.checksum), found[0])?;
    for field in &found[1..] {
        if *field != u64::from(u32::MAX) {
            fields.check("size", size, *field)?;
        }
    }
    Ok(())
}

fn check_overlap(entries: &HashMap<String, Entry>, directory: usize) -> Result<(), Problem> {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_unstable_by_key(|(_, e)| e.header);
    let next = sorted.iter().skip(1).map(|(_, e)| e.header).chain([directory]);
    for ((name, entry), next) in sorted.iter().zip(next) {
        if entry.data.end > next {
            let fault = Fault::new(
                format!("its end up to byte {next}"),
                format!("byte {}", entry.data.end),
            );
            return Err(container(&format!("entry `{name}`"), entry.header, fault));
        }
    }
    Ok(())
}

/// The folder all entries lie in: the one with `data.pkl`.
fn root(entries: &HashMap<String, Entry>) -> Result<String, Problem> {
    let refuse = |expected: &str, found: String| container("directory", 0, Fault::new(expected, found));
    let roots = entries.keys().filter_map(|name| name.strip_suffix("/data.pkl"));
    let roots: Vec<&str> = roots.filter(|root| !root.contains('/')).collect();
    let [root] = roots[..] else {
        let found = format!("{} of them in {} entries", roots.len(), entries.len());
        return Err(refuse(
            "one entry `<root>/data.pkl` (a file written by torch.save)",
            found,
        ));
    };
    let inside = |name: &str| name.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    match entries.keys().filter(|name| !inside(name)).min() {
        Some(name) => Err(refuse(
            &format!("all entries in the folder `{root}`"),
            format!("`{name}`"),
        )),
        None => Ok(root.to_owned()),
    }
}
