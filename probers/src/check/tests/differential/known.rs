//! The differences that there are, each with its reason.

/// Between the prober and curl, by the name of the case.
pub(super) const DIFFERENCES: &[(&str, &str)] = &[
    (
        "chunks/HTTP 1.0",
        "RFC 9112, section 6.1: the framing of HTTP/1.0 with Transfer-Encoding is faulty",
    ),
    ("chunks/coding \"chunked;q=1\"", "the prober takes the body up to the end of the connection"),
    ("chunks/coding \"gzip\"", "the prober takes the body up to the end of the connection"),
    ("chunks/coding \"unknown\"", "the prober takes the body up to the end of the connection"),
    ("chunks/coding \"x-chunked\"", "the prober takes the body up to the end of the connection"),
    (
        "chunks/line feed after a size",
        "the HTTP library takes CRLF alone in the framing of chunks (RFC 9112, section 7.1)",
    ),
    (
        "chunks/line feeds",
        "the HTTP library takes CRLF alone in the framing of chunks (RFC 9112, section 7.1)",
    ),
    ("chunks/many zeros", "curl takes 16 digits at most"),
    (
        "cookies/\"a=b; Max-Age=x\"",
        "RFC 6265, section 5.2.2: an attribute that is no number is ignored",
    ),
    (
        "encodings/a star",
        "curl ends for an encoding that it does not know; the prober takes the bytes as they are, as browsers do",
    ),
    (
        "encodings/br cut",
        "curl 7 takes a body whose compression breaks off; browsers report it, and so does the prober",
    ),
    (
        "encodings/br with more behind",
        "what stands behind the end of the compressed data is left out, as browsers do",
    ),
    (
        "encodings/compress",
        "curl ends for an encoding that it does not know; the prober takes the bytes as they are, as browsers do",
    ),
    (
        "encodings/deflate cut",
        "curl 7 takes a body whose compression breaks off; browsers report it, and so does the prober",
    ),
    (
        "encodings/gzip and unknown",
        "curl ends for an encoding that it does not know; the prober takes the bytes as they are, as browsers do",
    ),
    (
        "encodings/gzip cut",
        "curl 7 takes a body whose compression breaks off; browsers report it, and so does the prober",
    ),
    (
        "encodings/gzip in two members",
        "RFC 1952, section 2.2: a gzip file may have several members; curl reads the first alone",
    ),
    ("encodings/gzip that is zlib", "curl takes zlib for gzip; browsers do not"),
    (
        "encodings/gzip without its end",
        "curl 7 takes a body whose compression breaks off; browsers report it, and so does the prober",
    ),
    (
        "encodings/in quotes",
        "curl ends for an encoding that it does not know; the prober takes the bytes as they are, as browsers do",
    ),
    (
        "encodings/unknown",
        "curl ends for an encoding that it does not know; the prober takes the bytes as they are, as browsers do",
    ),
    (
        "encodings/utf-8",
        "curl ends for an encoding that it does not know; the prober takes the bytes as they are, as browsers do",
    ),
    (
        "encodings/zstd cut",
        "curl 7 takes a body whose compression breaks off; browsers report it, and so does the prober",
    ),
    (
        "fields/\" x: y\"",
        "curl refuses a first field that begins with a space; the prober leaves it out, as browsers do",
    ),
    (
        "fields/\"\\tx: y\"",
        "curl refuses a first field that begins with a space; the prober leaves it out, as browsers do",
    ),
    (
        "fields/\"no colon\"",
        "curl refuses a line without a colon; the prober leaves it out, as browsers do",
    ),
    (
        "fields/\"x: a\\rb\"",
        "a carriage return in a value is refused by the HTTP library (RFC 9112, section 2.2)",
    ),
    (
        "fields/\"x=y\"",
        "curl refuses a line without a colon; the prober leaves it out, as browsers do",
    ),
    ("fields/110 of 10 bytes", "a limit of the prober: 100 fields"),
    ("fields/400 of 10 bytes", "a limit of the prober: 100 fields"),
    (
        "length/\"+17\"",
        "the framing is ambiguous or wrong: RFC 9112, section 6.3, has a client treat it as an error",
    ),
    (
        "length/\"0x11\"",
        "the framing is ambiguous or wrong: RFC 9112, section 6.3, has a client treat it as an error",
    ),
    (
        "length/\"17, 5\"",
        "the framing is ambiguous or wrong: RFC 9112, section 6.3, has a client treat it as an error",
    ),
    (
        "length/\"17.0\"",
        "the framing is ambiguous or wrong: RFC 9112, section 6.3, has a client treat it as an error",
    ),
    (
        "length/\"17;\"",
        "the framing is ambiguous or wrong: RFC 9112, section 6.3, has a client treat it as an error",
    ),
    (
        "length/\"17\\r\\ncontent-length: 5\"",
        "the framing is ambiguous or wrong: RFC 9112, section 6.3, has a client treat it as an error",
    ),
    (
        "length/\"5\\r\\ncontent-length: 17\"",
        "the framing is ambiguous or wrong: RFC 9112, section 6.3, has a client treat it as an error",
    ),
    (
        "length/\"99999999999999999999\"",
        "the framing is ambiguous or wrong: RFC 9112, section 6.3, has a client treat it as an error",
    ),
    (
        "redirects/300",
        "browsers follow 301, 302, 303, 307 and 308 alone (Fetch, section 2.2.6), and so does the prober",
    ),
    (
        "redirects/304",
        "browsers follow 301, 302, 303, 307 and 308 alone (Fetch, section 2.2.6), and so does the prober",
    ),
    (
        "redirects/305",
        "browsers follow 301, 302, 303, 307 and 308 alone (Fetch, section 2.2.6), and so does the prober",
    ),
    (
        "redirects/306",
        "browsers follow 301, 302, 303, 307 and 308 alone (Fetch, section 2.2.6), and so does the prober",
    ),
    (
        "redirects/309",
        "browsers follow 301, 302, 303, 307 and 308 alone (Fetch, section 2.2.6), and so does the prober",
    ),
    (
        "redirects/399",
        "browsers follow 301, 302, 303, 307 and 308 alone (Fetch, section 2.2.6), and so does the prober",
    ),
    (
        "redirects/to \"/café\"",
        "the prober reads a Location as browsers do (WHATWG URL); curl reads it in its own way",
    ),
    (
        "redirects/to \"/en\\td\"",
        "the prober reads a Location as browsers do (WHATWG URL); curl reads it in its own way",
    ),
    (
        "redirects/to \"\\\\end\"",
        "the prober reads a Location as browsers do (WHATWG URL); curl reads it in its own way",
    ),
    (
        "redirects/to \"http:/end\"",
        "the prober reads a Location as browsers do (WHATWG URL); curl reads it in its own way",
    ),
    (
        "redirects/to \"http:end\"",
        "the prober reads a Location as browsers do (WHATWG URL); curl reads it in its own way",
    ),
    (
        "status/\"HTTP/1.1  200 OK\"",
        "the HTTP library takes status lines of RFC 9112, section 4, alone",
    ),
    (
        "status/\"HTTP/1.1 200 a\\u{1}b\"",
        "the HTTP library takes status lines of RFC 9112, section 4, alone",
    ),
    (
        "status/\"HTTP/1.1 200OK\"",
        "the HTTP library takes status lines of RFC 9112, section 4, alone",
    ),
    (
        "status/\"HTTP/2 200 OK\"",
        "the HTTP library takes status lines of RFC 9112, section 4, alone",
    ),
    (
        "status/\"HTTP/2.0 200 OK\"",
        "the HTTP library takes status lines of RFC 9112, section 4, alone",
    ),
    (
        "status/\"http/1.1 200 OK\"",
        "the HTTP library takes status lines of RFC 9112, section 4, alone",
    ),
    (
        "status/after empty line",
        "RFC 9112, section 2.2: empty lines before the status line are skipped; curl takes them for HTTP/0.9",
    ),
    (
        "status/after two empty lines",
        "RFC 9112, section 2.2: empty lines before the status line are skipped; curl takes them for HTTP/0.9",
    ),
    (
        "status/half a head",
        "curl takes an answer whose header breaks off; the prober reports it, as browsers do",
    ),
    (
        "status/no end of the head",
        "curl takes an answer whose header breaks off; the prober reports it, as browsers do",
    ),
];

/// Between the prober and dig, by the question.
pub(super) const OF_QUESTIONS: &[(&str, &str)] = &[(
    "CNAME of an alias of nothing",
    "the alias itself was asked for and is there; NXDOMAIN tells of the name that it leads to (RFC 6604)",
)];

/// Between the prober and curl, by the server of TLS.
pub(super) const OF_TLS: &[(&str, &str)] = &[
    ("group/P-521", "a limit of the prober, which says so"),
    ("group/X448", "a limit of the prober, which says so"),
    ("hash/SHA-224", "a limit of the prober, which says so"),
    ("key/Ed448", "a limit of the prober, which says so"),
    ("key/RSA-PSS", "a limit of the prober, which says so"),
    (
        "kind/authority",
        "Firefox refuses an authority as the certificate of a server, and so does the prober",
    ),
    ("suite/AES128-GCM", "a limit of the prober, which says so"),
    ("suite/DHE-RSA-AES128-GCM", "a limit of the prober, which says so"),
    ("suite/ECDHE-RSA-AES128-CBC", "a limit of the prober, which says so"),
    ("use/certificates alone", "the TLS library looks at extendedKeyUsage, and not at keyUsage"),
];

/// Between the prober and curl, by the answer in HTTP/2.
pub(super) const OF_HTTP2: &[(&str, &str)] = &[
    (
        "101",
        "the HTTP library takes 101 for one of the answers that come before (RFC 9113, section 8.6, forbids it)",
    ),
    (
        "a frame beyond the size",
        "RFC 9113, section 4.2: a frame beyond SETTINGS_MAX_FRAME_SIZE is an error",
    ),
    (
        "a pseudo field of requests",
        "the HTTP library overlooks it (RFC 9113, section 8.3, forbids it)",
    ),
    (
        "more padding than frame",
        "RFC 9113, section 6.1: padding of the length of the frame or more is an error",
    ),
    (
        "reset in the body with 0",
        "the HTTP library takes NO_ERROR for the end of the body (RFC 9113, section 8.1)",
    ),
    ("trailers with a status", "the HTTP library overlooks it (RFC 9113, section 8.1, forbids it)"),
];
