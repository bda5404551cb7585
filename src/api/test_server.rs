//! A server on loopback that answers as a test says, byte for byte.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use reqwest::Url;

use super::auth::Credentials;
use super::client::{Client, Settings};
use super::retry::Policy;

/// The heads of all requests so far.
pub(super) type Requests = Arc<Mutex<Vec<String>>>;

/// Serves until the process ends: `answer` gets each connection.
pub(super) fn serve_raw(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || answer(&mut connection));
        }
    });
    url
}

/// Serves until the process ends: `answer` gets the number of the request, its head, and the connection.
pub(super) fn serve(answer: impl Fn(usize, &str, &mut TcpStream) + Send + Sync + 'static) -> (Url, Requests) {
    let requests = Requests::default();
    let heads = Arc::clone(&requests);
    let url = serve_raw(move |connection| {
        let head = read_head(connection);
        let number = {
            let mut heads = heads.lock().unwrap();
            heads.push(head.clone());
            heads.len() - 1
        };
        answer(number, &head, connection);
    });
    (url, requests)
}

fn read_head(connection: &TcpStream) -> String {
    let lines = BufReader::new(connection).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

/// Answers with a status, more headers (each with its line end) and a body, and closes the connection.
pub(super) fn respond(connection: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    // The client may have gone away.
    let _ = write!(
        connection,
        "HTTP/1.1 {status} Said\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

/// A client of `api_url` with app credentials, `time_scale` times as patient as in a sync.
pub(super) fn client(api_url: Url, time_scale: f64) -> Client {
    client_with(api_url, Policy { time_scale, ..Policy::for_sync() })
}

/// A client of `api_url` with app credentials.
pub(super) fn client_with(api_url: Url, policy: Policy) -> Client {
    let settings = Settings {
        api_url,
        credentials: Credentials::App { access_key: "key".into(), app_secret: "secret".into() },
        workers: 10,
        requests_per_second: None,
        policy,
        public_only: false,
        redact: Arc::new(str::to_owned),
        on_minted: Arc::new(|_| {}),
    };
    Client::new(settings, Arc::new(|_| {})).unwrap()
}
