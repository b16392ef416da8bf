//! The right to go on, of calls that last.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::Extensions;

use crate::service::Shared;
use crate::service::auth::Identity;
use crate::service::auth::policy::Need;
use crate::service::caller::Caller;
use crate::service::refusal::Refusal;

/// Time between looks at the clock: a wall clock may be set, so one long sleep would not do.
const LOOK: Duration = Duration::from_secs(1);

/// Who opened a call that lasts, and by what right.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    shared: Arc<Shared>,
    identity: Arc<Identity>,
    need: Need,
}

impl Lease {
    /// Of the caller whose identity the gate has put into `extensions`.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` where none is there: the call has come by another way.
    pub(crate) fn new(shared: &Arc<Shared>, extensions: &Extensions, need: Need) -> Result<Self, Refusal> {
        let identity = extensions.get::<Arc<Identity>>().cloned().ok_or_else(Refusal::unauthenticated)?;
        Ok(Self { shared: Arc::clone(shared), identity, need })
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.identity.caller
    }

    /// Returns when the right has ended: its time is over, or a new configuration took it away.
    pub(crate) async fn ended(&self) {
        let mut changes = self.shared.auth_changes();
        loop {
            let now = SystemTime::now();
            if !self.shared.auth().still_allows(&self.identity, self.need, now) {
                return;
            }
            let left = self.identity.caller.expires.map(|expires| expires.duration_since(now).unwrap_or_default());
            let look = async {
                match left {
                    Some(left) => tokio::time::sleep(left.min(LOOK)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = look => {}
                changed = changes.changed() => if changed.is_err() { std::future::pending().await },
            }
        }
    }
}
