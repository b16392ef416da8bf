//! Encrypted connections, and callers known by their certificates.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use auralink::service::config::{Certificate, ClientCertificates, Role, Tls};
use auralink::service::proto::frame_compression_client::FrameCompressionClient;
use auralink::service::{Config, check_files, proto};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Code;
use tonic::transport::{Channel, ClientTlsConfig, Identity};

use crate::harness::{Client, PATIENCE, Running, Talk, config_with, http, i420, open_i420, start};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// An authority, a folder with a server's certificate of it, and a configuration that names them.
struct Pki {
    authority: Authority,
    folder: tempfile::TempDir,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, in PEM.
fn signed(authority: &Authority, common_name: &str, names: Vec<SanType>) -> (String, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = names;
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

impl Pki {
    fn make() -> Self {
        let pki = Self { authority: authority("test root"), folder: tempfile::tempdir().unwrap() };
        std::fs::write(pki.path("ca.pem"), pki.authority.pem()).unwrap();
        pki.renew(&pki.authority);
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes another certificate for the server.
    fn renew(&self, authority: &Authority) {
        let names = vec![SanType::DnsName("localhost".try_into().unwrap()), SanType::IpAddress([127, 0, 0, 1].into())];
        let (cert, key) = signed(authority, "server", names);
        std::fs::write(self.path("cert.pem"), cert).unwrap();
        std::fs::write(self.path("key.pem"), key).unwrap();
    }

    fn config(&self, clients: ClientCertificates) -> Config {
        config_with(|config| {
            config.tls.cert_file = Some(self.path("cert.pem"));
            config.tls.key_file = Some(self.path("key.pem"));
            config.tls.client_ca_file = Some(self.path("ca.pem"));
            config.tls.clients = clients;
            config.tls.check_files_s = 0;
        })
    }

    /// A client that trusts the authority, and shows a certificate where it has one.
    async fn client(
        &self,
        server: &Running,
        shows: Option<&(String, String)>,
    ) -> Result<Client, tonic::transport::Error> {
        let trusted = tonic::transport::Certificate::from_pem(self.authority.pem());
        let mut tls = ClientTlsConfig::new().ca_certificate(trusted).domain_name("localhost");
        if let Some((cert, key)) = shows {
            tls = tls.identity(Identity::from_pem(cert, key));
        }
        let channel = Channel::from_shared(format!("https://{}", server.grpc)).unwrap().tls_config(tls).unwrap();
        Ok(FrameCompressionClient::new(channel.connect().await?).max_decoding_message_size(64 << 20))
    }
}

/// Shakes hands; gives the connection, with what the server has shown.
async fn shake(addr: SocketAddr, trusted: &[u8], alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(addr).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
}

fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn on_disk(path: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(path).unwrap().to_vec()
}

async fn get(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // An end without a last word in TLS is an end too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_listeners_speak_tls_and_nothing_else() {
    let pki = Pki::make();
    let server = start(pki.config(ClientCertificates::Off)).await;
    let mut client = pki.client(&server, None).await.unwrap();
    let (mut talk, _) = Talk::open(&mut client, open_i420(320, 180)).await.unwrap();
    talk.frame(1, i420(320, 180, 1)).await;
    assert_eq!(talk.packet().await.frame_number, 1);
    talk.finish().await.unwrap();

    let trusted = pki.authority.pem();
    for (addr, offered, chosen) in [
        (server.grpc, &["h2", "http/1.1"][..], Some("h2")),
        (server.http, &["http/1.1"], Some("http/1.1")),
        (server.http, &["h2"], Some("h2")),
        (server.http, &[], None),
    ] {
        let stream = shake(addr, trusted.as_bytes(), offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes));
    }
    let mut stream = shake(server.http, trusted.as_bytes(), &["http/1.1"]).await.unwrap();
    let answer = get(&mut stream, "/livez").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("strict-transport-security: max-age="), "{answer}");

    let stranger = authority("another root").pem();
    assert!(shake(server.grpc, stranger.as_bytes(), &[]).await.is_err(), "the certificate isn't of this authority");
    let mut plain = TcpStream::connect(server.http).await.unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("closed in time");
    assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stops_half_way_is_given_up() {
    let pki = Pki::make();
    let mut config = pki.config(ClientCertificates::Off);
    config.tls.handshake_timeout_ms = 100;
    let server = start(config).await;
    let mut socket = TcpStream::connect(server.grpc).await.unwrap();
    // The head of a record that never comes.
    socket.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("closed in time");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let pki = Pki::make();
    let config = pki.config(ClientCertificates::Off);
    let server = start(config.clone()).await;
    let mut client = pki.client(&server, None).await.unwrap();
    let (mut talk, _) = Talk::open(&mut client, open_i420(320, 180)).await.unwrap();
    let trusted = pki.authority.pem();
    let see = || async { shown(&shake(server.grpc, trusted.as_bytes(), &[]).await.unwrap()) };
    let first = on_disk(&pki.path("cert.pem"));
    assert_eq!(see().await, first);

    pki.renew(&pki.authority);
    let second = on_disk(&pki.path("cert.pem"));
    assert_eq!(see().await, first, "not before it is told");
    server.reloader.reload(config.clone()).unwrap();
    assert_eq!(see().await, second);
    talk.frame(1, i420(320, 180, 1)).await;
    assert_eq!(talk.packet().await.frame_number, 1, "the old connection goes on");

    // A certificate that can't be read changes nothing.
    std::fs::write(pki.path("cert.pem"), "nonsense").unwrap();
    let told = server.reloader.reload(config).unwrap_err().to_string();
    assert!(told.contains("tls.cert_file") && told.contains("cert.pem"), "{told}");
    assert_eq!(see().await, second);

    talk.finish().await.unwrap();
    drop(client);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_changes_on_disk_is_found() {
    let pki = Pki::make();
    let trusted = pki.authority.pem();
    let mut config = pki.config(ClientCertificates::Off);
    config.tls.check_files_s = 1;
    let server = start(config).await;
    // File systems tell times as coarsely as they like.
    tokio::time::sleep(Duration::from_millis(20)).await;
    pki.renew(&pki.authority);
    let third = on_disk(&pki.path("cert.pem"));
    let renewed = async {
        while shake(server.grpc, trusted.as_bytes(), &[]).await.map(|stream| shown(&stream)).ok() != Some(third.clone())
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("the new certificate is found");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_known_by_their_certificates() {
    let pki = Pki::make();
    let uri = SanType::URI("spiffe://example.org/camera/1".try_into().unwrap());
    let camera = signed(&pki.authority, "camera", vec![uri]);
    let watcher = signed(&pki.authority, "watcher", vec![]);
    let stranger = signed(&authority("another root"), "camera", vec![]);
    for clients in [ClientCertificates::Required, ClientCertificates::Optional] {
        let mut config = pki.config(clients);
        let name = "watcher".to_owned();
        config.auth.certificates = vec![Certificate { name, roles: vec![Role::Observe] }];
        let server = start(config).await;
        let mut cameras = pki.client(&server, Some(&camera)).await.unwrap();
        let mut watchers = pki.client(&server, Some(&watcher)).await.unwrap();
        let (talk, _) = Talk::open(&mut cameras, open_i420(320, 180)).await.unwrap();
        let denied = Talk::open(&mut watchers, open_i420(320, 180)).await.err().unwrap();
        assert_eq!(denied.code(), Code::PermissionDenied);
        let listed = watchers.list_sessions(proto::ListSessionsRequest {}).await.unwrap().into_inner();
        assert_eq!(listed.sessions.len(), 1);
        talk.finish().await.unwrap();

        // TLS 1.3 tells the client of a refusal only after its handshake: a call finds out.
        let call = async |shows| match pki.client(&server, shows).await {
            Ok(mut client) => client.describe(proto::DescribeRequest {}).await.err().map(|status| status.code()),
            Err(_) => Some(Code::Unavailable),
        };
        assert!(call(Some(&stranger)).await.is_some_and(|code| code != Code::Unauthenticated), "no connection at all");
        let nobody = call(None).await.unwrap();
        assert_eq!(nobody == Code::Unauthenticated, clients == ClientCertificates::Optional, "{nobody:?}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_at_fault_are_named() {
    let pki = Pki::make();
    let other = tempfile::tempdir().unwrap();
    let key = other.path().join("other.pem");
    std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let good = pki.config(ClientCertificates::Required);
    assert!(check_files(&good).is_ok());
    for (change, told) in [
        (Tls { key_file: Some(key.clone()), ..good.tls.clone() }, "tls.key_file"),
        (Tls { cert_file: Some(key.clone()), ..good.tls.clone() }, "tls.cert_file"),
        (Tls { client_ca_file: Some(key), ..good.tls.clone() }, "tls.client_ca_file"),
    ] {
        let error = check_files(&config_with(|config| config.tls = change)).unwrap_err().to_string();
        assert!(error.contains(told), "{told}: {error}");
    }
    // Plain HTTP goes on where there is no certificate.
    let server = start(config_with(|_| {})).await;
    assert_eq!(http(server.http, "GET", "/livez", "", b"").await.status, 200);
    server.stop().await;
}
