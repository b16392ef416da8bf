//! What each call and each page asks of its caller.

use axum::http::Method;

use crate::service::caller::{Caller, Roles};

/// What a caller needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Not even a name.
    Nothing,
    /// A name.
    Name,
    /// To compress.
    Compress,
    /// To compress, or to watch: whose sessions are shown is decided one by one.
    Look,
    /// To watch everything.
    Observe,
    /// To do everything.
    Admin,
}

/// Whether these roles are enough.
pub(crate) fn meets(roles: Roles, need: Need) -> bool {
    roles.admin
        || match need {
            Need::Nothing | Need::Name => true,
            Need::Compress => roles.compress,
            Need::Look => roles.compress || roles.observe,
            Need::Observe => roles.observe,
            Need::Admin => false,
        }
}

/// What two sets of roles share.
pub(crate) fn both(one: Roles, other: Roles) -> Roles {
    Roles {
        compress: one.compress && other.compress,
        observe: one.observe && other.observe,
        admin: one.admin && other.admin,
    }
}

/// What a gRPC call needs, by its path. What isn't listed is for admins, so that a new call has to be.
pub(crate) fn of_call(path: &str) -> Need {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return Need::Name;
    };
    match (service, method) {
        ("grpc.health.v1.Health", _) => Need::Nothing,
        ("auralink.aic.v1.FrameCompression", method) => match method {
            "CompressFrame" | "CompressBatch" | "CompressStream" | "DecompressFrame" | "UpdateNetworkCondition" => {
                Need::Compress
            }
            "GetSession" | "ListSessions" | "WatchSession" => Need::Look,
            "AnalyzeNetworkConditions" | "GetCompressionHints" | "Describe" => Need::Name,
            _ => Need::Admin,
        },
        // Reflection, and names that nothing answers to.
        _ => Need::Name,
    }
}

/// What a page of HTTP needs.
pub(crate) fn of_page(_method: &Method, path: &str, open_metrics: bool) -> Need {
    match path {
        "/livez" | "/readyz" | "/health" | "/health/ready" | "/openapi.json" => Need::Nothing,
        "/metrics" if open_metrics => Need::Nothing,
        "/metrics" => Need::Observe,
        "/v1/compress" => Need::Compress,
        "/v1/sessions" => Need::Look,
        _ => Need::Name,
    }
}

impl Caller {
    /// Whether it may see what belongs to `owner`.
    pub(crate) fn may_see(&self, owner: &str) -> bool {
        self.roles.admin || self.roles.observe || *self.id == *owner
    }

    /// Whether it may change what belongs to `owner`.
    pub(crate) fn may_change(&self, owner: &str) -> bool {
        self.roles.admin || *self.id == *owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    #[test]
    fn every_call_of_the_contract_is_listed() {
        let contract = FileDescriptorSet::decode(crate::service::proto::DESCRIPTORS).unwrap();
        let services = contract.file.iter().flat_map(|file| &file.service);
        let methods: Vec<_> = services
            .flat_map(|service| {
                service.method.iter().map(|method| (service.name().to_owned(), method.name().to_owned()))
            })
            .collect();
        assert!(methods.len() >= 11, "{methods:?}");
        for (service, method) in methods {
            let need = of_call(&format!("/auralink.aic.v1.{service}/{method}"));
            assert!(!matches!(need, Need::Admin | Need::Nothing), "{service}/{method} needs {need:?}");
        }
    }

    #[test]
    fn nobody_gets_further_than_its_roles() {
        let compress = Roles { compress: true, ..Roles::default() };
        let observe = Roles { observe: true, ..Roles::default() };
        let admin = Roles { admin: true, ..Roles::default() };
        let all = [Need::Nothing, Need::Name, Need::Compress, Need::Look, Need::Observe, Need::Admin];
        let met = |roles| all.map(|need| meets(roles, need));
        assert_eq!(met(Roles::default()), [true, true, false, false, false, false]);
        assert_eq!(met(compress), [true, true, true, true, false, false]);
        assert_eq!(met(observe), [true, true, false, true, true, false]);
        assert_eq!(met(admin), [true; 6]);
        for path in
            ["", "/", "//", "/auralink.aic.v1.FrameCompression", "/auralink.aic.v1.FrameCompression/New", "/x/y"]
        {
            assert_ne!(of_call(path), Need::Nothing, "{path}");
        }
        for path in ["/livez/", "/LIVEZ", "//livez", "/metrics", "/v1/auth/token", "/livez%2f..", "/v1/anything"] {
            assert_ne!(of_page(&Method::GET, path, false), Need::Nothing, "{path}");
        }
    }
}
