//! Writers of what no library would write: zip containers field by field, and pickles opcode by opcode.

/// A container under construction. The defaults are what `torch.save` writes, but for padding.
#[derive(Clone)]
pub(crate) struct Zip {
    pub(crate) entries: Vec<Entry>,
    /// Whether sizes and checksum stand behind the data instead of in front of it.
    pub(crate) has_descriptors: bool,
    /// Whether every number stands in a zip64 field.
    pub(crate) is_zip64: bool,
}

/// An entry: what it holds, and what is said of it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    pub(crate) checksum: u32,
    /// Size the directory states.
    pub(crate) size: u64,
    /// Name in front of the data.
    pub(crate) local_name: String,
}

impl Entry {
    pub(crate) fn new(name: &str, data: &[u8]) -> Self {
        Self {
            name: name.into(),
            data: data.into(),
            method: 0,
            flags: 0,
            checksum: crc32fast::hash(data),
            size: data.len() as u64,
            local_name: name.into(),
        }
    }
}

impl Zip {
    /// A file of `torch.save` with the root `r`: its pickle and storages `0`, `1`, ...
    pub(crate) fn torch(pickle: &[u8], storages: &[&[u8]]) -> Self {
        let mut entries = vec![
            Entry::new("r/data.pkl", pickle),
            Entry::new("r/byteorder", b"little"),
        ];
        let storage = |(i, data): (usize, &&[u8])| Entry::new(&format!("r/data/{i}"), data);
        entries.extend(storages.iter().enumerate().map(storage));
        Self {
            entries,
            has_descriptors: false,
            is_zip64: false,
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let mut directory = Vec::new();
        for entry in &self.entries {
            let header = file.len() as u64;
            self.put_local(entry, &mut file);
            self.put_central(entry, header, &mut directory);
        }
        let start = file.len();
        file.extend(&directory);
        self.put_end(start as u64, directory.len() as u64, &mut file);
        file
    }

    fn flags(&self, entry: &Entry) -> u16 {
        entry.flags | if self.has_descriptors { 8 } else { 0 }
    }

    fn put_local(&self, entry: &Entry, file: &mut Vec<u8>) {
        let n = entry.data.len() as u32;
        let sizes = if self.has_descriptors {
            [0; 3]
        } else {
            [entry.checksum, n, n]
        };
        put(file, &[0x0403_4b50]);
        put16(file, &[20, self.flags(entry), entry.method, 0, 0]);
        put(file, &sizes);
        put16(file, &[entry.local_name.len() as u16, 0]);
        file.extend(entry.local_name.as_bytes());
        file.extend(&entry.data);
        if self.has_descriptors {
            put(file, &[0x0807_4b50, entry.checksum, n, n]);
        }
    }

    fn put_central(&self, entry: &Entry, header: u64, directory: &mut Vec<u8>) {
        let wide = [entry.size, entry.size, header].map(u64::to_le_bytes).concat();
        let narrow = |v: u64| if self.is_zip64 { u32::MAX } else { v as u32 };
        put(directory, &[0x0201_4b50]);
        put16(directory, &[20, 20, self.flags(entry), entry.method, 0, 0]);
        put(
            directory,
            &[entry.checksum, narrow(entry.size), narrow(entry.size)],
        );
        let n_extra = if self.is_zip64 { 4 + 24 } else { 0 };
        put16(directory, &[entry.name.len() as u16, n_extra, 0, 0, 0, 0, 0]);
        put(directory, &[narrow(header)]);
        directory.extend(entry.name.as_bytes());
        if self.is_zip64 {
            put16(directory, &[1, 24]);
            directory.extend(wide);
        }
    }

    fn put_end(&self, start: u64, size: u64, file: &mut Vec<u8>) {
        let n = self.entries.len() as u64;
        if self.is_zip64 {
            let record = file.len() as u64;
            put(file, &[0x0606_4b50, 44, 0, 0, 0, 0]);
            file.extend([n, n, size, start].map(u64::to_le_bytes).concat());
            put(file, &[0x0706_4b50, 0, record as u32, 0, 1]);
        }
        let narrow = |v: u64| if self.is_zip64 { u64::MAX } else { v };
        put(file, &[0x0605_4b50]);
        put16(file, &[0, 0, narrow(n) as u16, narrow(n) as u16]);
        put(file, &[narrow(size) as u32, narrow(start) as u32]);
        put16(file, &[0]);
    }
}

fn put(file: &mut Vec<u8>, values: &[u32]) {
    file.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}

fn put16(file: &mut Vec<u8>, values: &[u16]) {
    file.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}

/// A pickle of protocol 4 around these opcodes.
pub(crate) fn pickle(opcodes: &[u8]) -> Vec<u8> {
    [b"\x80\x04", opcodes, b"."].concat()
}

/// An int of 64 bits.
pub(crate) fn int(v: i64) -> Vec<u8> {
    [&b"\x8a\x08"[..], &v.to_le_bytes()].concat()
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [&[0x8c, text.len() as u8], text.as_bytes()].concat()
}

pub(crate) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub(crate) fn tuple(parts: &[Vec<u8>]) -> Vec<u8> {
    [&b"("[..], &parts.concat(), b"t"].concat()
}

/// `torch._utils._rebuild_tensor_v2` of storage `0` of f32.
pub(crate) fn tensor(n_stored: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let storage = storage("torch", "FloatStorage", "0", n_stored);
    tensor_of(storage, offset, shape, strides)
}

pub(crate) fn tensor_of(storage: Vec<u8>, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let sizes = |values: &[i64]| tuple(&values.iter().map(|v| int(*v)).collect::<Vec<_>>());
    let args = tuple(&[
        storage,
        int(offset),
        sizes(shape),
        sizes(strides),
        vec![0x89],
        vec![b'}'],
    ]);
    [global("torch._utils", "_rebuild_tensor_v2"), args, vec![b'R']].concat()
}

pub(crate) fn storage(module: &str, class: &str, key: &str, n: i64) -> Vec<u8> {
    let parts = [
        text("storage"),
        global(module, class),
        text(key),
        text("cpu"),
        int(n),
    ];
    [tuple(&parts), vec![b'Q']].concat()
}
