//! The only room that knows about CPUs.
//!
//! Every kernel has a plain scalar form, which is its specification, and gives the same bits at every SIMD level: packets
//! don't depend on the machine that made them. A level is found once, held by the [`Engine`](crate::Engine) and passed down.

pub mod block;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod block_avx2;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod block_avx512;
pub(crate) mod checksum;
pub mod color;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod color_avx2;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod color_avx512;
pub mod convert;
pub mod dct;
pub(crate) mod diff;
pub(crate) mod h264;
pub mod join;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod join_avx512;
pub mod metric;
pub(crate) mod predict;
pub(crate) mod prefetch;
pub mod quantise;
pub(crate) mod rct;
pub mod rows;
pub mod symbols;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod symbols_avx512;
pub(crate) mod wavefront;
pub mod yuv;

pub use fearless_simd::{Level, Simd};

/// Work that is compiled once for each SIMD level: a whole band, so that everything under it inlines at that level.
pub trait Vectorise {
    /// What the work gives.
    type Output;

    /// Does the work. Implementations are `#[inline(always)]`, and so is what they call, or it is marked `#[simd]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Does `work` at a SIMD level; of those below AVX2 on x86-64, which no machine of the last ten years is limited to, at the
/// baseline: each level is another copy of all that `work` calls. A closure that weren't inlined would be compiled for no level.
#[cfg(target_arch = "x86_64")]
pub fn vectorise<V: Vectorise>(level: Level, work: V) -> V::Output {
    if let Some(simd) = level.as_avx512() {
        return simd.vectorize(
            #[inline(always)]
            || work.run(simd),
        );
    }
    if let Some(simd) = level.as_avx2() {
        return simd.vectorize(
            #[inline(always)]
            || work.run(simd),
        );
    }
    let Level::Sse2(simd) = Level::baseline() else { unreachable!("every x86-64 has SSE2") };
    simd.vectorize(
        #[inline(always)]
        || work.run(simd),
    )
}

/// Does `work` at a SIMD level.
#[cfg(not(target_arch = "x86_64"))]
pub fn vectorise<V: Vectorise>(level: Level, work: V) -> V::Output {
    fearless_simd::dispatch!(level, simd => work.run(simd))
}

/// The best level of this CPU, or the lower one that `AURALINK_SIMD` (`baseline`, `sse4.2`, `avx2`, `avx512`) asks for. The
/// variable can't raise the level beyond what the CPU has.
pub fn detect() -> Level {
    let best = Level::new();
    let Ok(wanted) = std::env::var("AURALINK_SIMD") else { return best };
    levels().into_iter().find(|&level| name(level) == wanted).unwrap_or(best)
}

/// All levels this CPU can run, lowest first.
pub fn levels() -> Vec<Level> {
    let best = Level::new();
    #[cfg_attr(
        not(any(target_arch = "x86", target_arch = "x86_64")),
        expect(unused_mut, reason = "one level elsewhere")
    )]
    let mut all = vec![Level::baseline()];
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        all.extend(best.as_sse4_2().map(Level::Sse4_2));
        all.extend(best.as_avx2().map(Level::Avx2));
        all.extend(best.as_avx512().map(Level::Avx512));
    }
    all.dedup_by_key(|level| name(*level));
    if all.last().map(|level| name(*level)) != Some(name(best)) {
        all.push(best);
    }
    all
}

/// A level's name, as `AURALINK_SIMD` and `Describe` spell it.
pub fn name(level: Level) -> &'static str {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if level.as_avx512().is_some() {
            return "avx512";
        }
        if level.as_avx2().is_some() {
            return "avx2";
        }
        if level.as_sse4_2().is_some() {
            return "sse4.2";
        }
    }
    #[cfg(target_arch = "aarch64")]
    if level.as_neon().is_some() {
        return "neon";
    }
    let _ = level;
    "baseline"
}

/// Runs a test's body once for each SIMD level of this CPU, with its `Level` bound to the given name.
#[cfg(test)]
macro_rules! each_level {
    ($level:ident => $body:block) => {
        for $level in $crate::kernel::levels() {
            let name = $crate::kernel::name($level);
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| $body));
            assert!(caught.is_ok(), "failed at level {name}");
        }
    };
}
#[cfg(test)]
pub(crate) use each_level;

#[cfg(test)]
mod tests {
    #[test]
    fn levels_are_distinct_and_end_with_the_best() {
        let names: Vec<_> = super::levels().into_iter().map(super::name).collect();
        let mut unique = names.clone();
        unique.dedup();
        assert_eq!(names, unique);
        assert_eq!(names.last(), Some(&super::name(super::Level::new())));
    }
}
