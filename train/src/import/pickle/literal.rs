//! Numbers, texts and bytes that stand in the pickle behind their opcodes.

use super::error::Fault;
use super::machine::Machine;
use super::opcode as op;
use super::tree::Node;
use std::sync::Arc;

impl<'a> Machine<'a> {
    /// Opcodes that make one value out of the bytes behind them.
    pub(super) fn literal(&mut self, code: u8) -> Result<Node, Fault> {
        Ok(match code {
            op::NONE => Node::None,
            op::NEWTRUE => Node::Bool(true),
            op::NEWFALSE => Node::Bool(false),
            op::EMPTY_LIST => Node::List(Vec::new()),
            op::EMPTY_SET => Node::Set(Vec::new()),
            op::EMPTY_DICT => Node::dict(),
            op::BINFLOAT => Node::Float(f64::from_be_bytes(self.take()?)),
            op::BININT | op::BININT1 | op::BININT2 | op::LONG1 | op::LONG4 => self.int(code)?,
            op::SHORT_BINUNICODE | op::BINUNICODE | op::BINUNICODE8 => {
                let bytes = self.counted(code)?;
                Node::Str(text(bytes)?.into())
            }
            op::SHORT_BINBYTES
            | op::BINBYTES
            | op::BINBYTES8
            | op::BYTEARRAY8
            | op::SHORT_BINSTRING
            | op::BINSTRING => Node::Bytes(self.counted(code)?.into()),
            _ => {
                let found = format!("byte {code:#04x} ({})", op::name(code));
                return Err(Fault::new(
                    "an opcode of protocols 2 to 5 without extensions and buffers",
                    found,
                ));
            }
        })
    }

    fn int(&mut self, code: u8) -> Result<Node, Fault> {
        let n = match code {
            op::BININT => return Ok(Node::Int(i32::from_le_bytes(self.take()?).into())),
            op::BININT1 => return Ok(Node::Int(self.take::<1>()?[0].into())),
            op::BININT2 => return Ok(Node::Int(u16::from_le_bytes(self.take()?).into())),
            op::LONG1 => u64::from(self.take::<1>()?[0]),
            _ => u64::from(u32::from_le_bytes(self.take()?)),
        };
        let bytes = self.slice(n)?;
        if bytes.len() > 8 {
            return Ok(Node::Long(bytes.into()));
        }
        let is_negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if is_negative { 0xff } else { 0 }; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        Ok(Node::Int(i64::from_le_bytes(wide)))
    }

    /// The bytes of a text or byte string, whose length has 1, 4 or 8 bytes.
    fn counted(&mut self, code: u8) -> Result<&'a [u8], Fault> {
        let n = match code {
            op::SHORT_BINUNICODE | op::SHORT_BINBYTES | op::SHORT_BINSTRING => {
                u64::from(self.take::<1>()?[0])
            }
            op::BINUNICODE8 | op::BINBYTES8 | op::BYTEARRAY8 => u64::from_le_bytes(self.take()?),
            _ => u64::from(u32::from_le_bytes(self.take()?)),
        };
        Fault::above("bytes of one text", n, self.limits.text_bytes)?;
        self.slice(n)
    }

    fn slice(&mut self, n: u64) -> Result<&'a [u8], Fault> {
        let rest = &self.pickle[self.at..];
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let slice = rest.get(..n);
        let slice = slice.ok_or_else(|| Fault::new(format!("{n} more bytes"), rest.len()))?;
        self.at += n;
        Ok(slice)
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        Ok(self.slice(N as u64)?.try_into().expect("a slice of N bytes"))
    }

    pub(super) fn line(&mut self) -> Result<Arc<str>, Fault> {
        let rest = &self.pickle[self.at..];
        let n = rest.iter().position(|b| *b == b'\n');
        let n = n.ok_or_else(|| Fault::new("a name that ends in a line feed", "the end of the pickle"))?;
        self.at += n + 1;
        Ok(text(&rest[..n])?.into())
    }
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes)
        .map_err(|e| Fault::new("text in UTF-8", format!("byte {:#04x}", bytes[e.valid_up_to()])))
}
