//! An answer before it is written: status, headers and body.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    /// `None` leaves the header out.
    pub(crate) date: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) gzipped: bool,
}

impl Response {
    pub(crate) fn json(status: u16, body: Vec<u8>, date: Option<String>) -> Response {
        Response {
            status,
            content_type: "application/json; charset=utf-8",
            date,
            retry_after: None,
            body,
            gzipped: false,
        }
    }

    /// Level 1: the point is that clients must unpack, not that little is sent.
    pub(crate) fn gzip(&mut self) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        if encoder.write_all(&self.body).is_ok()
            && let Ok(packed) = encoder.finish()
        {
            self.body = packed;
            self.gzipped = true;
        }
    }

    /// The head, with a `Content-Length` or, for `None`, a chunked body announced.
    pub(crate) fn head(&self, content_length: Option<usize>, keep_alive: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        head.push_str(&format!("Content-Type: {}\r\n", self.content_type));
        if let Some(date) = &self.date {
            head.push_str(&format!("Date: {date}\r\n"));
        }
        if let Some(retry_after) = &self.retry_after {
            head.push_str(&format!("Retry-After: {retry_after}\r\n"));
        }
        if self.gzipped {
            head.push_str("Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n");
        }
        match content_length {
            Some(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
            None => head.push_str("Transfer-Encoding: chunked\r\n"),
        }
        if !keep_alive {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

/// Why a request is not served.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) details: Vec<String>,
    /// Whether the request is against the documents, which a test wants to know.
    pub(crate) unexpected: bool,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into(), details: Vec::new(), unexpected: false }
    }

    pub(crate) fn not_found(what: &str) -> Refusal {
        let mut refusal = Refusal::new(404, format!("{what} not found"));
        refusal.details.push("not found".to_owned());
        refusal
    }

    pub(crate) fn bad_token(detail: &str) -> Refusal {
        let mut refusal = Refusal::new(401, "Token validation error");
        refusal.details.push(detail.to_owned());
        refusal
    }

    /// Not a refusal, but an answer without a body all the same.
    pub(crate) fn no_content() -> Refusal {
        Refusal::new(204, "")
    }

    /// A 400 for a request that no document allows.
    pub(crate) fn unexpected(message: String) -> Refusal {
        Refusal { unexpected: true, ..Refusal::new(400, message) }
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        if self.status == 204 {
            return Vec::new();
        }
        let body = json!({
            "code": self.status,
            "message": self.message,
            "details": self.details,
        });
        body.to_string().into_bytes()
    }
}
