//! Rows of a block in a plane, found with one check for all of them.

/// Larger than any plane's stride, in bytes. Knowing a bound, the compiler sees that the last row's check covers the others.
const STRIDE_LIMIT: usize = 1 << 24;

/// Most rows asked for at once.
const ROWS_LIMIT: usize = 24;

/// `N` rows of `W` bytes, `stride` apart; at most [`ROWS_LIMIT`].
///
/// # Panics
/// If the samples end before the last row, or the stride is no plane's.
#[inline(always)]
pub(crate) fn rows<const W: usize, const N: usize>(samples: &[u8], stride: usize) -> [&[u8; W]; N] {
    const { assert!(N <= ROWS_LIMIT) };
    assert!(stride < STRIDE_LIMIT, "a stride of {stride}");
    let samples = &samples[..(N - 1) * stride + W];
    let none = &[0; W];
    let row = |y| if y < N { samples[y * stride..y * stride + W].first_chunk().unwrap_or(none) } else { none };
    // Listed, because a loop is unrolled too late for its checks to leave.
    let all: [&[u8; W]; ROWS_LIMIT] = [
        row(0),
        row(1),
        row(2),
        row(3),
        row(4),
        row(5),
        row(6),
        row(7),
        row(8),
        row(9),
        row(10),
        row(11),
        row(12),
        row(13),
        row(14),
        row(15),
        row(16),
        row(17),
        row(18),
        row(19),
        row(20),
        row(21),
        row(22),
        row(23),
    ];
    all.first_chunk().copied().unwrap_or([none; N])
}

/// Copies rows of `W` bytes, at most 16, to places `stride` apart; panics as [`rows`] does.
#[inline(always)]
pub(super) fn store_rows<const W: usize, const N: usize>(rows: &[[u8; W]; N], samples: &mut [u8], stride: usize) {
    const { assert!(N <= 16) };
    assert!(stride < STRIDE_LIMIT, "a stride of {stride}");
    let samples = &mut samples[..(N - 1) * stride + W];
    let mut store = |y: usize| {
        if y < N {
            samples[y * stride..y * stride + W].copy_from_slice(&rows[y]);
        }
    };
    // Listed for the same reason.
    store(0);
    store(1);
    store(2);
    store(3);
    store(4);
    store(5);
    store(6);
    store(7);
    store(8);
    store(9);
    store(10);
    store(11);
    store(12);
    store(13);
    store(14);
    store(15);
}
