//! The library's client in the terms of the command line: its failures as exit codes, our frames in the contract's words.

use auralink::client::{self, Error, Line};
use auralink::service::proto;
use auralink::{ColorSpace, Matrix, PixelFormat, Range};
use tonic::{Code, Status};

use super::access::Access;
use super::exit::{Exit, Failure, Result};

pub(crate) use auralink::client::caller;

/// Connects to `http://host:port`, `host:port`, `https://host:port` or `unix:/path`; `grpc://` and `grpcs://` are as good.
pub(crate) async fn connect(server: &str, access: &Access) -> Result<Line> {
    client::connect(server, &access.known([server])?).await.map_err(failure)
}

/// What an error of the client means for the exit code.
pub(crate) fn failure(error: Error) -> Failure {
    let exit = match &error {
        Error::Address { .. } | Error::Credentials { .. } => Exit::Usage,
        Error::Refused(status) => exit(status),
        Error::Order { .. } | Error::Deadly { .. } => Exit::Data,
        Error::WindowFull { .. } | Error::Finished => Exit::Internal,
        _ => Exit::Unavailable,
    };
    Failure::new(exit, error.to_string())
}

/// What a refused call means for the exit code.
pub(crate) fn refused(status: &Status) -> Failure {
    failure(Error::Refused(Box::new(status.clone())))
}

fn exit(status: &Status) -> Exit {
    match status.code() {
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition | Code::AlreadyExists => Exit::Data,
        Code::Internal | Code::DataLoss => Exit::Internal,
        _ => Exit::Unavailable,
    }
}

/// The contract's number for a format.
pub(crate) fn format_number(format: PixelFormat) -> Result<i32> {
    let name = format!("PIXEL_FORMAT_{}", format.name().to_ascii_uppercase());
    let number = proto::PixelFormat::from_str_name(&name);
    number.map(i32::from).ok_or_else(|| Failure::usage(format!("{format}: the service doesn't take this format")))
}

/// The contract's words for a colour space.
pub(crate) fn color(space: ColorSpace) -> proto::ColorSpace {
    proto::ColorSpace {
        matrix: match space.matrix {
            Matrix::Bt601 => proto::Matrix::Bt601,
            Matrix::Bt709 => proto::Matrix::Bt709,
        }
        .into(),
        range: match space.range {
            Range::Limited => proto::Range::Limited,
            Range::Full => proto::Range::Full,
        }
        .into(),
    }
}
