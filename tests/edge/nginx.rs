//! Two instances behind a real nginx, with the configuration that deploy/ has: one is killed, and its streams go on with the other.

use std::path::Path;
use std::process::Command;

use auralink::client::{Error, Retry, Stream};
use auralink::proto::Codec;
use tempfile::tempdir;
use tonic::Code;

use crate::client::run;
use crate::instance::Instance;
use crate::programs::{Program, Redis, find, free_port, wait_for};
use crate::victim::{open, target};

/// deploy/'s configuration for these instances, without what needs a certificate and a name. Older nginx than it is written for
/// has its `http2 on` elsewhere.
fn configuration(folder: &Path, port: u16, instances: [&Instance; 2]) -> String {
    let deployed = include_str!("../../deploy/nginx/auralink.conf");
    let mut servers = deployed.to_owned();
    for (at, instance) in instances.iter().enumerate() {
        for (name, address) in [("50051", instance.grpc), ("8080", instance.http)] {
            let place = format!("auralink-{}:{name}", at + 1);
            assert!(servers.contains(&place), "{place}");
            servers = servers.replace(&place, &address.to_string());
        }
    }
    let tls = |line: &&str| !["http2 on", "ssl_certificate"].iter().any(|word| line.trim().starts_with(word));
    let servers: String = servers.lines().filter(tls).map(|line| format!("{line}\n")).collect();
    let servers = servers.replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port} http2;"));
    let folder = folder.display();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths: String = paths.iter().map(|path| format!("{path}_temp_path {folder}/{path};\n")).collect();
    format!(
        "daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\n\
         events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{paths}{servers}}}\n"
    )
}

fn instance(folder: &Path, redis: &Redis) -> Instance {
    let settings = format!(
        "[compute]\nthreads = 1\n[redis]\nurl = {:?}\ntimeout_ms = 200\n[rates]\nloopback = true\n\
         trusted_proxies = [\"127.0.0.1\"]\nip = {{ per_minute = 6, per_hour = 0, per_day = 0 }}\n\
         method = {{ per_minute = 0, per_hour = 0, per_day = 0 }}\n",
        redis.url()
    );
    Instance::start_as(folder, &settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_a_killed_instance_costs_no_frame_and_limits_are_shared() {
    let Some(program) = find("nginx", &["/usr/sbin"]) else { return };
    let Some(redis) = Redis::start() else { return };
    let folders = [tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap()];
    let mut instances = [instance(folders[0].path(), &redis), instance(folders[1].path(), &redis)];
    let port = free_port();
    let file = folders[2].path().join("nginx.conf");
    std::fs::write(&file, configuration(folders[2].path(), port, [&instances[0], &instances[1]])).unwrap();
    let log = folders[2].path().join("start.log");
    let mut command = Command::new(program);
    let _nginx = Program::start(command.arg("-e").arg(&log).arg("-c").arg(&file).arg("-p").arg(folders[2].path()));
    wait_for(port);

    let target = target(vec![format!("http://127.0.0.1:{port}")], Retry::default());
    let mut streams = Vec::new();
    for _ in 0..2 {
        streams.push(Stream::open(&target, open(Codec::H264, 320, 180)).await.unwrap());
    }
    // Both have one: the connections are least where there is none.
    let busy = instances.iter().map(|instance| instance.metric("auralink_streams_open")).collect::<Vec<_>>();
    assert_eq!(busy, [1.0, 1.0]);
    let mut second = streams.pop().unwrap();
    let mut first = streams.pop().unwrap();
    let other = tokio::spawn(async move { run(&mut second, 80, |_| {}).await });
    let taken = run(&mut first, 80, |number| {
        if number == 30 {
            instances[0].kill();
        }
    });
    let (taken, other) = (taken.await.unwrap(), other.await.unwrap().unwrap());
    taken.check(80);
    other.check(80);
    assert_eq!(taken.resumed.len() + other.resumed.len(), 1, "one of them was lost, and went on");

    // Two opened through each instance's own count, one again: of six a minute, three are left whichever instance is asked.
    instances[0].restart();
    let mut opened = 0;
    let refused = loop {
        match Stream::open(&target, open(Codec::H264, 320, 180)).await {
            Ok(mut stream) => {
                opened += 1;
                stream.finish();
                assert!(stream.next().await.unwrap().is_none());
            }
            Err(error) => break error,
        }
        assert!(opened < 7, "the limit isn't shared");
    };
    assert!(matches!(&refused, Error::Refused(status) if status.code() == Code::ResourceExhausted), "{refused}");
    assert_eq!(opened, 3, "of six calls a minute, three were made");
}
