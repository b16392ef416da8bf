//! Who calls.

use std::sync::Arc;
use std::time::SystemTime;

/// Who calls, as authentication found out; in the extensions of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Name of the key or subject of the token.
    pub(crate) id: Arc<str>,
    /// What it may do.
    pub(crate) roles: Roles,
    /// When the right to call ends.
    pub(crate) expires: Option<SystemTime>,
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Roles {
    /// May compress.
    pub(crate) compress: bool,
    /// May watch all sessions.
    pub(crate) observe: bool,
    /// May do everything.
    pub(crate) admin: bool,
}

impl Caller {
    /// Where nobody has to say who they are.
    pub(crate) fn anonymous() -> Self {
        Self { id: Arc::from("anonymous"), roles: Roles { compress: true, observe: true, admin: true }, expires: None }
    }
}
