//! HTTP/2 and gRPC without a client library's good manners.

use std::future::poll_fn;
use std::net::SocketAddr;

use auralink::service::proto::compress_stream_request::Message as In;
use auralink::service::proto::{self, CompressStreamRequest};
use axum::http::Request;
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use prost::Message;
use tokio::net::TcpStream;

/// A connection without a client library's good manners. Its streams may receive `window` bytes.
pub(crate) async fn connect(addr: SocketAddr, window: u32) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(addr).await.unwrap();
    let (client, connection) = h2::client::Builder::new().initial_window_size(window).handshake(socket).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// A message as gRPC frames it.
pub(crate) fn framed(message: In) -> Bytes {
    let body = CompressStreamRequest { message: Some(message) }.encode_to_vec();
    let mut framed = vec![0];
    framed.extend((body.len() as u32).to_be_bytes());
    framed.extend(body);
    framed.into()
}

pub(crate) async fn call(client: &SendRequest<Bytes>, open: proto::Open) -> (ResponseFuture, SendStream<Bytes>) {
    let request = Request::post("http://localhost/auralink.aic.v1.FrameCompression/CompressStream")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let mut client = client.clone().ready().await.unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data(framed(In::Open(open)), false).unwrap();
    (response, body)
}

/// Sends as the peer lets us; whether it did to the end.
pub(crate) async fn send(body: &mut SendStream<Bytes>, mut data: Bytes) -> bool {
    while !data.is_empty() {
        body.reserve_capacity(data.len());
        let Some(Ok(room)) = poll_fn(|context| body.poll_capacity(context)).await else { return false };
        if body.send_data(data.split_to(room.min(data.len())), false).is_err() {
            return false;
        }
    }
    true
}

/// How a stream ended: by a status, or by a reset.
pub(crate) async fn end(response: ResponseFuture) -> Option<String> {
    let mut answers: RecvStream = response.await.ok()?.into_body();
    while let Some(data) = answers.data().await {
        let length = data.ok()?.len();
        let _ = answers.flow_control().release_capacity(length);
    }
    let trailers = answers.trailers().await.ok()??;
    Some(trailers.get("grpc-status")?.to_str().ok()?.to_owned())
}
