//! `wss`, with a certificate of our own.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use ddp_client::{Client, Error};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use support::{World, soon};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Speaks TLS before a server that does not. The address, and the certificate.
async fn front(server: SocketAddr) -> (SocketAddr, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // a client that does not trust us hangs up
                let Ok(mut outside) = acceptor.accept(socket).await else {
                    return;
                };
                let mut inside = TcpStream::connect(server).await.unwrap();
                let _either_has_ended = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (address, certificate)
}

fn trusting(certificate: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[tokio::test]
async fn a_server_that_is_trusted_is_spoken_to_over_tls() {
    let (world, _running) = World::with_server().await;
    let (front, certificate) = front(world.address).await;
    let builder = Client::builder(&format!("https://localhost:{}", front.port())).unwrap();
    let builder = builder.tls(trusting(certificate));
    let client = soon("a connection", builder.connect()).await.unwrap();
    let sum = soon("the sum", client.call::<f64>("add", (1, 2))).await;
    assert_eq!(sum.unwrap(), 3.0);
    soon("the end", client.close()).await;
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_not_spoken_to() {
    let (world, _running) = World::with_server().await;
    let (front, certificate) = front(world.address).await;
    let (_, other) = self::front(world.address).await;
    let connect = |host: &str, certificate| {
        let builder = Client::builder(&format!("wss://{host}:{}", front.port())).unwrap();
        builder.tls(trusting(certificate)).connect()
    };
    let stranger = soon("the refusal", connect("localhost", other)).await;
    let Err(Error::Connect(reason)) = stranger else {
        panic!("{stranger:?}");
    };
    assert!(reason.contains("certificate"), "{reason}");
    let wrong_name = soon("the refusal", connect("127.0.0.1", certificate)).await;
    assert!(
        matches!(wrong_name, Err(Error::Connect(_))),
        "{wrong_name:?}"
    );
}
