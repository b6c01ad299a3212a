//! nginx and haproxy as somebody would set them up who wants the same of them: keep-alive to the app, buffers of
//! 16 KiB, a route for each hostname, clients that stay at their server, limits for each client address.

use std::fmt::Write as _;
use std::io::Result;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::candidate::{HOSTNAMES, hostname};

pub(crate) fn nginx(
    address: SocketAddr,
    [first, second]: [u16; 2],
    scratch: &Path,
) -> Result<PathBuf> {
    let mut servers = String::new();
    for number in 0..HOSTNAMES {
        let name = hostname(number);
        let _a_string_takes_all = writeln!(
            servers,
            "  server {{ listen {address}; server_name {name}; location / {{ proxy_pass http://app; }} }}"
        );
    }
    let scratch_path = scratch.display();
    let text = format!(
        "daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 20000;
pid {scratch_path}/nginx.pid; error_log stderr crit;
events {{ worker_connections 20000; }}
http {{
  access_log off; tcp_nodelay on; keepalive_timeout 75s; keepalive_requests 1000000000;
  server_names_hash_max_size 8192; server_names_hash_bucket_size 128;
  client_body_temp_path {scratch_path}/body; proxy_temp_path {scratch_path}/proxy;
  fastcgi_temp_path {scratch_path}/f; uwsgi_temp_path {scratch_path}/u; scgi_temp_path {scratch_path}/s;
  limit_req_zone $binary_remote_addr zone=requests:1m rate=1000000r/s;
  limit_conn_zone $binary_remote_addr zone=connections:1m;
  limit_req zone=requests burst=1000000 nodelay; limit_conn connections 60000;
  upstream app {{ hash $cookie_session$remote_addr; server 127.0.0.1:{first}; server 127.0.0.1:{second};
    keepalive 128; keepalive_requests 1000000000; }}
  map $http_upgrade $connection_header {{ default upgrade; '' ''; }}
  client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
  proxy_buffer_size 16k; proxy_buffers 8 16k; client_body_buffer_size 16k; proxy_read_timeout 1h;
  proxy_http_version 1.1;
  proxy_set_header Host $host; proxy_set_header Connection $connection_header; proxy_set_header Upgrade $http_upgrade;
  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Port $server_port;
{servers}}}
"
    );
    written(scratch.join("nginx.conf"), &text)
}

pub(crate) fn haproxy(
    address: SocketAddr,
    [first, second]: [u16; 2],
    scratch: &Path,
) -> Result<PathBuf> {
    let names = (0..HOSTNAMES).map(|number| format!("{} app\n", hostname(number)));
    let map = written(scratch.join("hostnames.map"), &names.collect::<String>())?;
    let map = map.display();
    let text = format!(
        "global
  nbthread 1
  maxconn 9000
  tune.bufsize 16384
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 75s
  timeout server 120s
  timeout tunnel 1h
  timeout http-request 10s
  timeout http-keep-alive 75s
frontend visitors
  bind {address}
  stick-table type ip size 100k expire 30s store conn_cur,http_req_rate(1s)
  http-request track-sc0 src
  http-request deny deny_status 429 if {{ sc0_http_req_rate gt 1000000 }}
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  use_backend %[req.hdr(host),lower,map({map})]
backend app
  balance leastconn
  cookie session insert indirect nocache
  server first 127.0.0.1:{first} cookie first
  server second 127.0.0.1:{second} cookie second
"
    );
    written(scratch.join("haproxy.cfg"), &text)
}

fn written(path: PathBuf, text: &str) -> Result<PathBuf> {
    std::fs::write(&path, text)?;
    Ok(path)
}
