//! The engine's errors: each carries the field, the value it had and the limit it met.

/// Result of the engine's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the engine answers to input it can't take.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number outside its range.
    #[error("{field}: {value} is outside {min}..={max}")]
    OutOfRange {
        /// Name of the field, as in the public types and the wire contract.
        field: &'static str,
        /// The value given.
        value: f64,
        /// Smallest value taken.
        min: f64,
        /// Largest value taken.
        max: f64,
    },
    /// A payload that isn't as long as its format and size say.
    #[error("{field}: {actual} bytes, but {expected} are needed ({why})")]
    Length {
        /// Name of the field.
        field: &'static str,
        /// Bytes given.
        actual: u64,
        /// Bytes needed.
        expected: u64,
        /// Where the expectation comes from, such as "1280x720 I420".
        why: String,
    },
    /// More of something than its limit: bytes, unless the field says otherwise.
    #[error("{field}: {actual} is over the limit of {limit}")]
    TooLarge {
        /// Name of the field.
        field: &'static str,
        /// How much was given or needed.
        actual: u64,
        /// Most that is taken.
        limit: u64,
    },
    /// A byte budget under the smallest packet this frame can become.
    #[error("{field}: a budget of {budget} bytes is under {smallest}, the smallest this frame can become")]
    Budget {
        /// Name of the field.
        field: &'static str,
        /// The budget given, bytes.
        budget: u64,
        /// Bytes of the smallest packet for this frame.
        smallest: u64,
    },
    /// A combination the product doesn't do.
    #[error("{field}: {value} is not supported ({supported})")]
    Unsupported {
        /// Name of the field.
        field: &'static str,
        /// The value given.
        value: String,
        /// What is.
        supported: &'static str,
    },
    /// Two values that should be equal aren't: a frame that isn't what its session was opened for.
    #[error("{field}: {actual}, but {expected} was agreed")]
    Mismatch {
        /// Name of the field.
        field: &'static str,
        /// The value given.
        actual: String,
        /// The value agreed before.
        expected: String,
    },
    /// Bytes that aren't what they claim to be.
    #[error("{what}: {detail}")]
    Malformed {
        /// The format that was expected: "y4m", "lossless", "jpeg", "png".
        what: &'static str,
        /// What is wrong, and where.
        detail: String,
    },
    /// A frame that was given up in its middle, as its [`Cancel`](crate::Cancel) was raised.
    #[error("the frame was abandoned")]
    Abandoned,
    /// Memory, threads or a library that failed us.
    #[error("{what} failed: {detail}")]
    Internal {
        /// What was tried.
        what: &'static str,
        /// What it answered.
        detail: String,
    },
}

impl Error {
    /// The field or format at fault.
    pub fn field(&self) -> &'static str {
        match self {
            Self::OutOfRange { field, .. }
            | Self::Length { field, .. }
            | Self::TooLarge { field, .. }
            | Self::Budget { field, .. }
            | Self::Unsupported { field, .. }
            | Self::Mismatch { field, .. } => field,
            Self::Malformed { what, .. } | Self::Internal { what, .. } => what,
            Self::Abandoned => "frame",
        }
    }

    /// Whether the caller's input is at fault, rather than this machine, or nobody.
    pub fn is_input(&self) -> bool {
        !matches!(self, Self::Internal { .. } | Self::Abandoned)
    }
}
