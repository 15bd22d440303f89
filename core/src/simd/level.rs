//! Which CPU features there are, found with CPUID alone (no operating system, no std).

/// A set of CPU features with a kernel table, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// Plain Rust; what the compiler vectorises for the build target.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512 F, BW, DQ and VL; products of integers with `VPDPWSSD` where the CPU has it.
    Avx512,
    /// The same with both `VPDPWSSD` and `VDPBF16PS`: bf16 weights times activations rounded to bf16 in recurrent products.
    Avx512Bf16,
}

impl Level {
    /// Every level, lowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Bf16];

    /// Name as printed and as read by `from_env`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512bf16",
        }
    }

    /// The level of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// The highest level this CPU and operating system run.
    #[must_use]
    pub fn detect() -> Self {
        detect()
    }

    /// Whether this CPU and operating system run the level.
    #[must_use]
    pub fn is_available(self) -> bool {
        self <= Self::detect()
    }

    /// The levels this machine runs, lowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        let best = Self::detect();
        Self::ALL.into_iter().filter(move |level| *level <= best)
    }

    /// The level named by the environment variable `TICKFUSE_LEVEL`, for tests and tools; a model opened by a
    /// product never reads it.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn from_env() -> Option<Self> {
        std::env::var("TICKFUSE_LEVEL")
            .ok()
            .and_then(|name| Self::from_name(&name))
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    use core::sync::atomic::{AtomicU8, Ordering};
    static FOUND: AtomicU8 = AtomicU8::new(u8::MAX);
    let known = FOUND.load(Ordering::Relaxed);
    if let Some(level) = Level::ALL.get(usize::from(known)) {
        return *level;
    }
    let level = cpuid_level();
    FOUND.store(level as u8, Ordering::Relaxed);
    level
}

#[cfg(target_arch = "x86_64")]
fn cpuid_level() -> Level {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    let has = |register: u32, bits: &[u32]| bits.iter().all(|bit| register & (1 << bit) != 0);
    let max_leaf = __cpuid(0).eax;
    let leaf1 = __cpuid(1).ecx;
    // FMA 12, XSAVE 26, OSXSAVE 27, AVX 28, F16C 29.
    if max_leaf < 7 || !has(leaf1, &[12, 26, 27, 28, 29]) {
        return Level::Portable;
    }
    // SAFETY: leaf 1 reports OSXSAVE, so XGETBV exists and the operating system enabled it.
    let enabled = unsafe { xcr0() };
    let leaf7 = __cpuid_count(7, 0);
    // XCR0: SSE 1, AVX 2; leaf 7 EBX: AVX2 5.
    if !has(enabled, &[1, 2]) || !has(leaf7.ebx, &[5]) {
        return Level::Portable;
    }
    // XCR0: opmask 5, upper ZMM 6, high ZMM 7; EBX: F 16, DQ 17, BW 30, VL 31.
    if !has(enabled, &[5, 6, 7]) || !has(leaf7.ebx, &[16, 17, 30, 31]) {
        return Level::Avx2;
    }
    // Leaf 7.1 EAX: AVX512_BF16 5.
    if leaf7.eax < 1 || !has_vnni() || !has(__cpuid_count(7, 1).eax, &[5]) {
        return Level::Avx512;
    }
    Level::Avx512Bf16
}

/// Whether the CPU has `VPDPWSSD`; the caller knows that it runs [`Level::Avx512`].
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_vnni() -> bool {
    // Leaf 7 ECX: AVX512_VNNI 11.
    core::arch::x86_64::__cpuid_count(7, 0).ecx & (1 << 11) != 0
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "xsave")]
fn xcr0() -> u32 {
    // SAFETY: the caller of this function proved XSAVE and OSXSAVE.
    let bits = unsafe { core::arch::x86_64::_xgetbv(0) };
    (bits & 0xffff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_is_always_available() {
        assert!(Level::Portable.is_available());
        assert_eq!(Level::available().next(), Some(Level::Portable));
    }

    #[test]
    fn names_lead_back_to_their_level() {
        for level in Level::ALL {
            assert_eq!(Level::from_name(level.name()), Some(level));
        }
        assert_eq!(Level::from_name("avx1024"), None);
    }

    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    #[test]
    fn detection_agrees_with_the_standard_library() {
        let avx2 = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
        let avx512 = std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512vl");
        let bf16 = std::is_x86_feature_detected!("avx512bf16") && std::is_x86_feature_detected!("avx512vnni");
        assert_eq!(Level::Avx2.is_available(), avx2);
        assert_eq!(Level::Avx512.is_available(), avx512);
        assert_eq!(Level::Avx512Bf16.is_available(), bf16);
    }
}
