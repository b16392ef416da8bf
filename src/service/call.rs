//! Calls of HTTP/2 as tasks that can be ended from outside: whoever drops one has its stream reset, and gets back what the transport
//! holds for it. Nothing else reaches a body that the transport doesn't ask for more.

use hyper::rt::Executor;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    static CUT: CancellationToken;
}

/// Starts calls on tokio.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls;

impl<F> Executor<F> for Calls
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, call: F) {
        let cut = CancellationToken::new();
        let ended = cut.clone();
        tokio::spawn(CUT.scope(cut, async move {
            tokio::select! {
                biased;
                () = ended.cancelled() => {}
                _ = call => {}
            }
        }));
    }
}

/// What ends the call that asks; none outside of one.
pub(crate) fn cut() -> Option<CancellationToken> {
    CUT.try_with(CancellationToken::clone).ok()
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_call_can_be_ended() {
        let (tell, told) = oneshot::channel();
        let (alive, dropped) = oneshot::channel::<()>();
        Calls.execute(async move {
            tell.send(cut()).unwrap();
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        told.await.unwrap().unwrap().cancel();
        assert!(dropped.await.is_err());
        assert!(cut().is_none());
    }
}
