//! A target that answers at once, on every address of loopback, and costs as little as it can.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nup";

/// Starts it, and returns its port.
pub(super) async fn start() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => drop(tokio::spawn(answer(connection))),
                Err(_too_many_open) => tokio::task::yield_now().await,
            }
        }
    });
    address.port()
}

async fn answer(mut connection: TcpStream) {
    let mut request = Vec::with_capacity(1_024);
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    // Who asked may have gone.
    let _ = connection.write_all(ANSWER).await;
}
