//! `_pretty=true`: white space is put into the JSON of an answer while it is sent. Deep within each other, a few bytes become many: they
//! are never in memory together.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, BodyDataStream, Bytes};
use futures_core::Stream;

/// Bytes that are taken of the answer at a time.
const PART_BYTES: usize = 16 << 10;

/// A body on its way.
pub struct Indented {
    body: BodyDataStream,
    /// What has come of it and has not been passed on.
    waiting: Bytes,
    indenter: Indenter,
    is_over: bool,
}

impl Indented {
    /// The same JSON, laid out for people.
    pub fn body(body: Body) -> Body {
        let body = body.into_data_stream();
        Body::from_stream(Self { body, waiting: Bytes::new(), indenter: Indenter::default(), is_over: false })
    }
}

impl Stream for Indented {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while self.waiting.is_empty() {
            if self.is_over {
                return Poll::Ready(None);
            }
            match Pin::new(&mut self.body).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(bytes))) => self.waiting = bytes,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => {
                    self.is_over = true;
                    // An answer without a body stays so.
                    return Poll::Ready(self.indenter.has_begun.then(|| Ok(Bytes::from_static(b"\n"))));
                }
            }
        }
        let length = self.waiting.len().min(PART_BYTES);
        let part = self.waiting.split_to(length);
        Poll::Ready(Some(Ok(self.indenter.indent(&part).into())))
    }
}

/// How far the text has been read.
#[derive(Default)]
struct Indenter {
    depth: usize,
    has_begun: bool,
    is_in_text: bool,
    is_escaped: bool,
    /// Whether an object or a list has just begun: an empty one stays on its line.
    is_fresh: bool,
}

impl Indenter {
    fn indent(&mut self, part: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(part.len() * 2);
        for &byte in part {
            self.byte(byte, &mut out);
        }
        out
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.has_begun = true;
        if self.is_in_text {
            out.push(byte);
            self.is_in_text = byte != b'"' || self.is_escaped;
            self.is_escaped = byte == b'\\' && !self.is_escaped;
            return;
        }
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => {}
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if !std::mem::take(&mut self.is_fresh) {
                    self.new_line(out);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                self.new_line(out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                if std::mem::take(&mut self.is_fresh) {
                    self.new_line(out);
                }
                out.push(byte);
                self.is_in_text = byte == b'"';
                if matches!(byte, b'{' | b'[') {
                    self.depth += 1;
                    self.is_fresh = true;
                }
            }
        }
    }

    fn new_line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.resize(out.len() + 2 * self.depth, b' ');
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::Value;

    use super::*;

    #[test]
    fn text_is_laid_out_wherever_it_is_cut_and_nothing_else_changes() {
        for json in [
            "{}",
            "[[],{},[{}]]",
            r#"{"a":1.50,"b":[1e+400,-0.0,true,null],"c":{"d":{}}}"#,
            r#"["x","\"","\\","\\\"{[,:]}","{ , : }"," ä "]"#,
            "7",
        ] {
            let expected = serde_json::to_string_pretty(&serde_json::from_str::<Value>(json).unwrap()).unwrap();
            for cut in 0..=json.len() {
                let mut indenter = Indenter::default();
                let mut out = indenter.indent(&json.as_bytes()[..cut]);
                out.extend(indenter.indent(&json.as_bytes()[cut..]));
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{json} cut at {cut}");
            }
        }
        let again = Indenter::default().indent(b" {\n \"a\" : [ ] } ");
        assert_eq!(again, b"{\n  \"a\": []\n}", "what is laid out already comes out the same");
    }

    #[tokio::test]
    async fn a_body_goes_on_part_by_part() {
        let dense = format!("[{}]", vec!["[[[[]]]]"; PART_BYTES].join(","));
        let mut stream = Indented::body(Body::from(dense.clone())).into_data_stream();
        let mut largest = 0;
        let mut whole = Vec::new();
        while let Some(part) = std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
            let part = part.unwrap();
            largest = largest.max(part.len());
            whole.extend_from_slice(&part);
        }
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&dense).unwrap()).unwrap();
        assert_eq!(whole, (pretty + "\n").into_bytes());
        assert!(largest < whole.len() / 4, "{largest}");
        assert!(to_bytes(Indented::body(Body::empty()), 10).await.unwrap().is_empty());
    }
}
