//! Answers, generated family by family.

use std::io::Write as _;
use std::sync::Arc;

use super::super::encoding::{brotli, zstd};

/// What a server says to a request, of which it gets the head.
pub(super) type Answer = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// One answer, or several of one server.
pub(super) struct Case {
    /// `family/what`.
    pub(super) name: String,
    pub(super) answer: Answer,
}

const BODY: &str = "Everything works.";

/// The same answer to every request.
fn always(name: String, answer: impl Into<Vec<u8>>) -> Case {
    let answer = answer.into();
    Case { name, answer: Arc::new(move |_: &str| answer.clone()) }
}

/// An answer for each path; 404 for all others.
fn by_path(name: String, answers: Vec<(&'static str, String)>) -> Case {
    let answer = move |head: &str| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let found = answers.iter().find(|(at, _)| *at == path);
        let missing = || "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned();
        found.map_or_else(missing, |(_, answer)| answer.clone()).into_bytes()
    };
    Case { name, answer: Arc::new(answer) }
}

fn ok() -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len())
}

/// Every case.
pub(super) fn cases() -> Vec<Case> {
    let families =
        [status_lines(), lengths(), chunks(), fields(), encodings(), redirects(), cookies()];
    families.into_iter().flatten().collect()
}

fn status_lines() -> Vec<Case> {
    let lines = [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200",
        "HTTP/1.1 200 ",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.0 200 OK",
        "HTTP/1.0 404 Not Found",
        "HTTP/1.2 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/2 200 OK",
        "HTTP/3 200",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "HTTP/1 200 OK",
        "HTTP 200 OK",
        "ICY 200 OK",
        " HTTP/1.1 200 OK",
        "220 ready for mail",
        "<html>",
        "",
        "HTTP/1.1 099 Odd",
        "HTTP/1.1 000 Odd",
        "HTTP/1.1 20 Odd",
        "HTTP/1.1 2000 Odd",
        "HTTP/1.1 abc Odd",
        "HTTP/1.1 -200 Odd",
        "HTTP/1.1 299 Fine",
        "HTTP/1.1 203 Fine",
        "HTTP/1.1 400 Bad",
        "HTTP/1.1 404 Gone",
        "HTTP/1.1 418 Teapot",
        "HTTP/1.1 429 Slow",
        "HTTP/1.1 500 Oops",
        "HTTP/1.1 503 Busy",
        "HTTP/1.1 600 Odd",
        "HTTP/1.1 999 Denied",
        "HTTP/1.1 200 caf\u{e9}",
        "HTTP/1.1 200 a\u{1}b",
        "HTTP/1.1\t200 OK",
    ];
    let mut cases: Vec<Case> = lines
        .iter()
        .map(|line| {
            let length = BODY.len();
            always(
                format!("status/{line:?}"),
                format!("{line}\r\ncontent-length: {length}\r\n\r\n{BODY}"),
            )
        })
        .collect();
    for (name, before) in [
        ("100", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("102", "HTTP/1.1 102 Processing\r\n\r\n"),
        ("103", "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"),
        ("103 twice", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"),
        ("empty line", "\r\n"),
        ("two empty lines", "\r\n\r\n"),
    ] {
        cases.push(always(format!("status/after {name}"), format!("{before}{}", ok())));
    }
    for (name, alone) in [
        ("101 alone", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"),
        ("100 alone", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("204 with a body", "HTTP/1.1 204 No Content\r\n\r\nbody"),
        ("204 with a length", "HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\n"),
        ("205", "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"),
        ("304", "HTTP/1.1 304 Not Modified\r\n\r\n"),
        ("nothing", ""),
        ("half a line", "HTTP/1.1 20"),
        ("half a head", "HTTP/1.1 200 OK\r\ncontent-le"),
        ("no end of the head", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"),
        ("line feeds alone", "HTTP/1.1 200 OK\ncontent-length: 0\n\n"),
        ("carriage returns alone", "HTTP/1.1 200 OK\rcontent-length: 0\r\r"),
    ] {
        cases.push(always(format!("status/{name}"), alone));
    }
    cases
}

fn lengths() -> Vec<Case> {
    let right = BODY.len().to_string();
    let with = |length: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{BODY}");
    let mut cases = Vec::new();
    for length in [
        right.clone(),
        "0".to_owned(),
        "5".to_owned(),
        "18".to_owned(),
        "1000000".to_owned(),
        format!("0{right}"),
        format!("+{right}"),
        format!("-{right}"),
        format!(" {right} "),
        format!("{right}, {right}"),
        format!("{right}, 5"),
        format!("{right};"),
        format!("{right}.0"),
        "0x11".to_owned(),
        "abc".to_owned(),
        String::new(),
        "99999999999999999999".to_owned(),
        format!("{right}\r\ncontent-length: {right}"),
        format!("{right}\r\ncontent-length: 5"),
        format!("5\r\ncontent-length: {right}"),
    ] {
        cases.push(always(format!("length/{length:?}"), with(&length)));
    }
    cases.push(always("length/none".to_owned(), format!("HTTP/1.1 200 OK\r\n\r\n{BODY}")));
    cases.push(always("length/none and empty".to_owned(), "HTTP/1.1 200 OK\r\n\r\n"));
    cases
}

fn chunks() -> Vec<Case> {
    let head = |coding: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {coding}\r\n\r\n");
    let good = "4\r\nwell\r\n0\r\n\r\n";
    let mut cases = Vec::new();
    for (name, body) in [
        ("good", good),
        ("extension", "4;a=b\r\nwell\r\n0\r\n\r\n"),
        ("extension in quotes", "4;a=\"b;c\"\r\nwell\r\n0\r\n\r\n"),
        ("space before extension", "4 ;a\r\nwell\r\n0\r\n\r\n"),
        ("spaces", "4  \r\nwell\r\n0\r\n\r\n"),
        ("trailer", "4\r\nwell\r\n0\r\nx-sum: 1\r\n\r\n"),
        ("upper case", "A\r\n0123456789\r\n0\r\n\r\n"),
        ("leading zeros", "0004\r\nwell\r\n0\r\n\r\n"),
        ("many zeros", "0000000000000000004\r\nwell\r\n0\r\n\r\n"),
        ("no last chunk", "4\r\nwell\r\n"),
        ("no end of the last chunk", "4\r\nwell\r\n0\r\n"),
        ("last chunk alone", "0\r\n\r\n"),
        ("cut in a chunk", "9\r\nwell"),
        ("cut in a size", "4\r\nwell\r\n1"),
        ("nothing", ""),
        ("no size", "\r\nwell\r\n0\r\n\r\n"),
        ("bad size", "x\r\nwell\r\n0\r\n\r\n"),
        ("negative size", "-4\r\nwell\r\n0\r\n\r\n"),
        ("0x", "0x4\r\nwell\r\n0\r\n\r\n"),
        ("too large a size", "fffffffffffffffff\r\nwell\r\n0\r\n\r\n"),
        ("no line end after a chunk", "4\r\nwell0\r\n\r\n"),
        ("longer than said", "4\r\nwell done\r\n0\r\n\r\n"),
        ("line feeds", "4\nwell\n0\n\n"),
        ("line feed after a size", "4\nwell\r\n0\r\n\r\n"),
        ("more behind", "4\r\nwell\r\n0\r\n\r\nmore"),
        ("space before a size", " 4\r\nwell\r\n0\r\n\r\n"),
    ] {
        cases.push(always(format!("chunks/{name}"), head("chunked") + body));
    }
    for coding in [
        "Chunked",
        "CHUNKED",
        " chunked ",
        "chunked, chunked",
        "identity",
        "identity, chunked",
        "gzip",
        "unknown",
        "chunked, identity",
        "x-chunked",
        "",
        "chunked\r\ntransfer-encoding: chunked",
        "chunked\r\ncontent-length: 4",
        "chunked\r\ncontent-length: 100",
        "chunked;q=1",
    ] {
        cases.push(always(format!("chunks/coding {coding:?}"), head(coding) + good));
    }
    let old = format!("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{good}");
    cases.push(always("chunks/HTTP 1.0".to_owned(), old));
    cases
}

fn fields() -> Vec<Case> {
    let with = |fields: &str| {
        let length = BODY.len();
        format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {length}\r\n\r\n{BODY}")
    };
    let mut cases = Vec::new();
    for field in [
        "x: y",
        "x:y",
        "x:",
        "x: ",
        "x:\t y \t",
        "X : y",
        "x\t: y",
        "x y: z",
        ": y",
        ":",
        "no colon",
        " x: y",
        "\tx: y",
        "x: a\r\n b",
        "x: a\r\n\tb",
        "x: a\r\n  \r\n b",
        "x: a\nb: c",
        "x: a\rb",
        "x: a\u{1}b",
        "x: a\u{7f}b",
        "x: caf\u{e9}",
        "caf\u{e9}: x",
        "x(y): z",
        "x/y: z",
        "x@y: z",
        "\"x\": y",
        "x;y: z",
        "x=y",
        "{}: x",
        "content-type: text/html; charset=utf-8",
        "content-type: nonsense",
        "connection: close",
        "connection: keep-alive",
        "connection: upgrade",
        "server:",
        "date: never",
        "content-encoding:",
        "content-encoding: identity",
        "upgrade: h2c",
        "www-authenticate: Basic",
        "alt-svc: h3=\":443\"",
        "strict-transport-security: max-age=1",
        "content-disposition: attachment; filename=\"a\u{e9}.txt\"",
        "link: <a>; rel=b",
        "trailer: x",
        "retry-after: 1",
        "location: /elsewhere",
        "refresh: 0; url=/elsewhere",
        "set-cookie:",
        "set-cookie: a=b; c",
        "x-a: 1\r\nx-a: 2",
        "content-range: bytes 0-1/2",
        "vary: *",
    ] {
        cases.push(always(format!("fields/{field:?}"), with(field)));
    }
    cases.push(always("fields/NUL in a value".to_owned(), with("x: a\0b")));
    cases.push(always("fields/NUL in a name".to_owned(), with("a\0b: x")));
    for (count, length) in [
        (1, 1_000),
        (1, 8_000),
        (1, 60_000),
        (1, 70_000),
        (1, 200_000),
        (50, 100),
        (97, 10),
        (110, 10),
        (400, 10),
    ] {
        let field = format!("x: {}", "a".repeat(length));
        let all = vec![field; count].join("\r\n");
        cases.push(always(format!("fields/{count} of {length} bytes"), with(&all)));
    }
    cases
}

fn encodings() -> Vec<Case> {
    let gzip = gzip(BODY.as_bytes());
    let mut wrong_sum = gzip.clone();
    let end = wrong_sum.len() - 8;
    wrong_sum[end] ^= 0xff;
    let zlib = {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(BODY.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let raw = {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(BODY.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let (brotli, zstd) = (brotli(BODY.as_bytes()), zstd(BODY.as_bytes()));
    let plain = BODY.as_bytes().to_vec();
    let twice = self::gzip(&gzip);
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let with = |more: &[u8], bytes: &[u8]| [bytes, more].concat();
    let all: Vec<(&str, &str, Vec<u8>)> = vec![
        ("gzip", "gzip", gzip.clone()),
        ("upper case", "GZIP", gzip.clone()),
        ("x-gzip", "x-gzip", gzip.clone()),
        ("gzip cut", "gzip", half(&gzip)),
        ("gzip without its end", "gzip", gzip[..gzip.len() - 8].to_vec()),
        ("gzip with a wrong sum", "gzip", wrong_sum),
        ("gzip with more behind", "gzip", with(b"more", &gzip)),
        ("gzip with zeros behind", "gzip", with(&[0; 8], &gzip)),
        ("gzip in two members", "gzip", with(&gzip, &gzip)),
        ("gzip that is plain", "gzip", plain.clone()),
        ("gzip that is nothing", "gzip", Vec::new()),
        ("gzip that is zlib", "gzip", zlib.clone()),
        ("gzip twice", "gzip, gzip", twice.clone()),
        ("gzip twice but once", "gzip, gzip", gzip.clone()),
        ("deflate", "deflate", zlib.clone()),
        ("deflate without its wrapping", "deflate", raw.clone()),
        ("deflate cut", "deflate", half(&zlib)),
        ("deflate that is plain", "deflate", plain.clone()),
        ("deflate that is gzip", "deflate", gzip.clone()),
        ("br", "br", brotli.clone()),
        ("br cut", "br", half(&brotli)),
        ("br that is plain", "br", plain.clone()),
        ("br with more behind", "br", with(b"more", &brotli)),
        ("zstd", "zstd", zstd.clone()),
        ("zstd cut", "zstd", half(&zstd)),
        ("zstd that is plain", "zstd", plain.clone()),
        ("zstd in two frames", "zstd", with(&zstd, &zstd)),
        ("unknown", "rot13", plain.clone()),
        ("compress", "compress", plain.clone()),
        ("identity", "identity", plain.clone()),
        ("identity and gzip", "identity, gzip", gzip.clone()),
        ("gzip and unknown", "gzip, rot13", gzip.clone()),
        ("a comma", ",", plain.clone()),
        ("gzip and a comma", "gzip,", gzip.clone()),
        ("none", "none", plain.clone()),
        ("utf-8", "utf-8", plain.clone()),
        ("in quotes", "\"gzip\"", gzip.clone()),
        ("a star", "*", plain),
    ];
    let case = |(name, coding, bytes): (&str, &str, Vec<u8>)| {
        let length = bytes.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n"
        );
        always(format!("encodings/{name}"), [head.into_bytes(), bytes].concat())
    };
    all.into_iter().map(case).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn to(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
}

fn redirects() -> Vec<Case> {
    let mut cases = Vec::new();
    for status in [300, 301, 302, 303, 304, 305, 306, 307, 308, 309, 399] {
        let answers = vec![("/", to(status, "/end")), ("/end", ok())];
        cases.push(by_path(format!("redirects/{status}"), answers));
    }
    for location in [
        "end",
        "./end",
        "/end",
        "/./end",
        "/a/../end",
        "//127.0.0.1:1/end",
        "/end#part",
        "/end ",
        " /end",
        "\t/end",
        "\\end",
        "/%65nd",
        "/en\td",
        "",
        "#",
        "?",
        "http:/end",
        "http:end",
        "https:",
        "ftp://127.0.0.1/",
        "file:///etc/hostname",
        "javascript:0",
        "mailto:a@b.example",
        "data:text/plain,x",
        "http://",
        "http://[::",
        "http://a b/",
        "HTTP://127.0.0.1:1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "/caf\u{e9}",
        "/caf%C3%A9",
        "/a b",
        "/%zz",
        "/%",
        "/\u{1}",
    ] {
        let answers =
            vec![("/", to(302, location)), ("/end", ok()), ("/caf%C3%A9", ok()), ("/a%20b", ok())];
        cases.push(by_path(format!("redirects/to {location:?}"), answers));
    }
    let long: &'static str = Box::leak(format!("/{}", "a".repeat(3_000)).into_boxed_str());
    cases.push(by_path("redirects/long".to_owned(), vec![("/", to(302, long)), (long, ok())]));
    let way = |count: usize| {
        let mut answers = vec![("/", to(302, "/1"))];
        let places = ["/1", "/2", "/3", "/4", "/5", "/6"];
        for pair in places[..count].windows(2) {
            answers.push((pair[0], to(302, pair[1])));
        }
        answers.push((places[count - 1], ok()));
        answers
    };
    for count in 1..=6 {
        cases.push(by_path(format!("redirects/{count} in a row"), way(count)));
    }
    for (name, answer) in [
        ("without a location", "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_owned()),
        ("to itself", to(302, "/")),
        (
            "with two locations",
            to(302, "/end").replacen("content", "location: /gone\r\ncontent", 1),
        ),
        ("with a body cut off", to(302, "/end").replacen("length: 0", "length: 10", 1) + "x"),
        ("with a bad length", to(302, "/end").replacen("length: 0", "length: x", 1)),
        (
            "with an encoding that is none",
            to(302, "/end").replacen(
                "content-length: 0",
                "content-encoding: gzip\r\ncontent-length: 4",
                1,
            ) + "none",
        ),
    ] {
        cases.push(by_path(format!("redirects/{name}"), vec![("/", answer), ("/end", ok())]));
    }
    cases
}

/// `/` sets a cookie and leads to `/end`, which is there for whom has the cookie `a=b`.
fn cookies() -> Vec<Case> {
    let set = [
        "a=b",
        "a=b;",
        "a=b; Path=/",
        "a=b; path=/end",
        "a=b; Path=/other",
        "a=b; Path=",
        "a=b; Path=end",
        "a=b; Domain=127.0.0.1",
        "a=b; Domain=localhost",
        "a=b; Domain=example.com",
        "a=b; Domain=",
        "a=b; Secure",
        "a=b; HttpOnly",
        "a=b; SameSite=Strict",
        "a=b; SameSite=None",
        "a=b; Max-Age=60",
        "a=b; Max-Age=0",
        "a=b; Max-Age=-1",
        "a=b; Max-Age=x",
        "a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "a=b; Expires=Fri, 31 Dec 2100 23:59:59 GMT",
        "a=b; Expires=never",
        "a=b; Unknown=1",
        " a = b ",
        "a=\"b\"",
        "a=c\r\nset-cookie: a=b",
        "a=b\r\nset-cookie: a=c",
        "a=b\r\nset-cookie: a=; Max-Age=0",
        "A=b",
        "a",
        "=b",
        "a=b=c",
        "__Secure-a=b",
        "a=b; Partitioned",
        "a=b, c=d",
    ];
    set.iter()
        .map(|set| {
            let name = format!("cookies/{set:?}");
            let first = format!("HTTP/1.1 302 Found\r\nset-cookie: {set}\r\nlocation: /end\r\ncontent-length: 0\r\n\r\n");
            let answer = move |head: &str| {
                let has = head.lines().any(|line| {
                    let (name, value) = line.split_once(':').unwrap_or_default();
                    name.eq_ignore_ascii_case("cookie") && value.split(';').any(|one| one.trim() == "a=b")
                });
                match head.split(' ').nth(1) {
                    Some("/") => first.clone(),
                    _ if has => ok(),
                    _ => "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_owned(),
                }
                .into_bytes()
            };
            Case { name, answer: Arc::new(answer) }
        })
        .collect()
}
