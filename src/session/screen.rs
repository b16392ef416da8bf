//! What a receiver shows: pictures at the size of their source, whatever size they were coded at.

use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::frame::{Frame, FrameBuf, PixelFormat, Plane};
use crate::kernel::Level;
use crate::quality::{self, Quality};
use crate::rate::Scale;
use crate::resize::Resizer;

/// A screen, with its working memory: none where nothing is enlarged.
#[derive(Debug)]
pub(super) struct Screen {
    resizer: Resizer,
    shrunk: FrameBuf,
    shown: FrameBuf,
}

impl Screen {
    pub(super) fn new() -> Self {
        let empty = || FrameBuf::empty(PixelFormat::Gray8);
        Self { resizer: Resizer::default(), shrunk: empty(), shown: empty() }
    }

    /// How near luma of any size, enlarged bilinearly, is to the source's.
    pub(super) fn compare(
        &mut self,
        level: Level,
        source: Plane<'_>,
        decoded: Plane<'_>,
        pool: &ThreadPool,
    ) -> Result<Quality> {
        if (source.row_bytes(), source.rows()) == (decoded.row_bytes(), decoded.rows()) {
            return quality::compare(level, source, decoded, pool);
        }
        let (width, height) = size(source)?;
        self.resizer.resize(&grey(decoded)?, width, height, &mut self.shown)?;
        quality::compare(level, source, self.shown.as_frame().plane(0), pool)
    }

    /// SSIM of the source's luma brought to a size and back.
    pub(super) fn ssim_of_size(
        &mut self,
        level: Level,
        source: Plane<'_>,
        scale: Scale,
        pool: &ThreadPool,
    ) -> Result<f64> {
        let (width, height) = size(source)?;
        let mut shrunk = std::mem::replace(&mut self.shrunk, FrameBuf::empty(PixelFormat::Gray8));
        self.resizer.resize(&grey(source)?, scale.apply(width), scale.apply(height), &mut shrunk)?;
        let measured = self.compare(level, source, shrunk.as_frame().plane(0), pool)?;
        self.shrunk = shrunk;
        Ok(measured.ssim)
    }
}

fn grey(plane: Plane<'_>) -> Result<Frame<'_>> {
    let (width, height) = size(plane)?;
    Frame::from_planes(PixelFormat::Gray8, width, height, &[(plane.data(), plane.stride())])
}

fn size(plane: Plane<'_>) -> Result<(u32, u32)> {
    let side = |side: usize| {
        u32::try_from(side).map_err(|_| Error::TooLarge {
            field: "plane",
            actual: side as u64,
            limit: u64::from(u32::MAX),
        })
    };
    Ok((side(plane.row_bytes())?, side(plane.rows())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 96;

    fn plane(of: impl Fn(usize, usize) -> u8) -> FrameBuf {
        let data = (0..SIDE * SIDE).map(|at| of(at % SIDE, at / SIDE)).collect();
        FrameBuf::new(PixelFormat::Gray8, SIDE as u32, SIDE as u32, data).unwrap()
    }

    fn pool() -> ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap()
    }

    #[test]
    fn a_smaller_size_takes_what_is_fine_and_leaves_what_is_smooth() {
        let (smooth, fine) = (plane(|x, y| (x + y) as u8), plane(|x, y| ((x * 37) ^ (y * 91)) as u8));
        let (pool, mut screen, level) = (pool(), Screen::new(), Level::new());
        let mut kept =
            |picture: &FrameBuf, scale| screen.ssim_of_size(level, picture.as_frame().plane(0), scale, &pool).unwrap();
        for scale in &Scale::LADDER[1..] {
            assert!(kept(&smooth, *scale) > 0.98 && kept(&fine, *scale) < 0.7, "{scale:?}");
        }
        assert_eq!(kept(&fine, Scale::FULL), 1.0);
        assert!(kept(&fine, Scale::LADDER[1]) > kept(&fine, Scale::LADDER[4]));
    }

    #[test]
    fn what_is_seen_is_compared_at_the_size_of_its_source() {
        let (source, pool, mut screen) = (plane(|x, y| (2 * x + y / 2) as u8), pool(), Screen::new());
        let half = FrameBuf::new(
            PixelFormat::Gray8,
            48,
            48,
            (0..48 * 48).map(|at| (4 * (at % 48) + 2 + at / 48) as u8).collect(),
        );
        let seen =
            screen.compare(Level::new(), source.as_frame().plane(0), half.unwrap().as_frame().plane(0), &pool).unwrap();
        assert!(seen.ssim > 0.95 && seen.psnr_db > 35.0, "{seen:?}");
        let same = screen.compare(Level::new(), source.as_frame().plane(0), source.as_frame().plane(0), &pool).unwrap();
        assert_eq!((same.ssim, same.psnr_db), (1.0, f64::INFINITY));
    }
}
