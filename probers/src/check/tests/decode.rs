//! Encoded bodies of which little or nothing comes out.

use super::super::body::MAX_BODY_BYTES;
use super::super::tests::encoding::{brotli, deflate, gzip, zstd};
use super::super::work::{Budget, Exceeded, MAX_STEPS};
use super::*;

fn whole(bytes: Vec<u8>) -> Content {
    Content { bytes, is_cut: false }
}

/// What comes out, and the steps that it took.
fn decoded(
    encodings: &[Encoding],
    bytes: &[u8],
    steps: u64,
) -> Result<(Content, u64), Undecodable> {
    let mut budget = Budget::of_steps(steps);
    let content = decode(&whole(bytes.to_vec()), encodings, true, &mut budget)?;
    Ok((content, steps - budget.steps_left()))
}

/// So many bytes of these again and again.
fn repeated(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes.iter().copied().cycle().take(length / bytes.len() * bytes.len()).collect()
}

/// Pieces without output: what they are, and how a body of them begins, goes on and ends.
fn silent() -> Vec<(&'static str, Encoding, [Vec<u8>; 3])> {
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].to_vec();
    vec![
        ("gzip members", Encoding::Gzip, [vec![], gzip(b""), vec![]]),
        ("zstd frames", Encoding::Zstd, [vec![], zstd(b""), vec![]]),
        ("zstd skippable frames", Encoding::Zstd, [vec![], skippable, vec![]]),
        // An empty block that is stored (RFC 1951, section 3.2.4), and the last one.
        ("deflate blocks", Encoding::Deflate, [vec![], vec![0, 0, 0, 0xff, 0xff], vec![3, 0]]),
        // A window of 64 KiB, and empty metadata (RFC 7932, section 9.2), each to the end of its byte.
        ("brotli metadata", Encoding::Brotli, [vec![0x0c], vec![0x06], vec![0x03]]),
    ]
}

#[test]
fn pieces_without_output_are_paid_for_by_what_they_take_in() {
    for (what, encoding, [begin, piece, end]) in silent() {
        let few = [begin.clone(), repeated(&piece, 2_000), end.clone()].concat();
        let (content, steps) = decoded(&[encoding], &few, MAX_STEPS).expect(what);
        assert_eq!(content, Content::default(), "{what}");
        assert!(steps as usize >= 4 * 1_900, "{what}: {steps}");
        let many = [begin, repeated(&piece, 668_000), end].concat();
        let stopped = decoded(&[encoding], &many, 100_000).expect_err(what);
        assert!(matches!(stopped, Undecodable::Exceeded(Exceeded::Steps)), "{what}: {stopped}");
        // Positive control: it is the budget that stops it.
        let (content, _) = decoded(&[encoding], &many, MAX_STEPS).expect(what);
        assert_eq!(content, Content::default(), "{what}");
    }
}

#[test]
fn a_layer_takes_no_more_than_the_limit_from_the_one_around_it() {
    for (what, encoding, [begin, piece, end]) in silent() {
        let inner = [begin, repeated(&piece, 8 * MAX_BODY_BYTES), end].concat();
        let outer = gzip(&zstd(&inner));
        assert!(outer.len() < MAX_BODY_BYTES, "{what}");
        let chain = [encoding, Encoding::Zstd, Encoding::Gzip];
        let (content, steps) = decoded(&chain, &outer, MAX_STEPS).expect(what);
        assert!(content.bytes.is_empty() && content.is_cut, "{what}");
        assert!(steps < 16_000_000, "{what}: {steps}");
        let stopped = decoded(&chain, &outer, 100_000).expect_err(what);
        assert!(matches!(stopped, Undecodable::Exceeded(Exceeded::Steps)), "{what}: {stopped}");
    }
}

#[test]
fn what_comes_out_is_whole_or_cut_at_the_limit() {
    let text = b"well ".repeat(1_000);
    type Encode = fn(&[u8]) -> Vec<u8>;
    let encoders: [(Encoding, Encode); 4] = [
        (Encoding::Gzip, gzip),
        (Encoding::Deflate, deflate),
        (Encoding::Brotli, brotli),
        (Encoding::Zstd, zstd),
    ];
    for (encoding, encode) in encoders {
        let (content, _) = decoded(&[encoding], &encode(&text), MAX_STEPS).unwrap();
        assert!(content == whole(text.clone()), "{encoding:?}");
        let long = vec![b'x'; MAX_BODY_BYTES + 1];
        let (content, _) = decoded(&[encoding], &encode(&long), MAX_STEPS).unwrap();
        assert!(content.is_cut && content.bytes == long[1..], "{encoding:?}");
        let mut bytes = encode(&text);
        bytes.truncate(bytes.len() / 2);
        let cut = Content { bytes, is_cut: true };
        let content = decode(&cut, &[encoding], true, &mut Budget::of_steps(MAX_STEPS)).unwrap();
        assert!(content.is_cut, "{encoding:?}: the beginning of a longer body");
        let broken = decode(&whole(cut.bytes), &[encoding], true, &mut Budget::of_steps(MAX_STEPS));
        assert!(matches!(broken, Err(Undecodable::Broken(_))), "{encoding:?}");
    }
}

#[test]
fn no_encoding_asks_for_more_than_16_mib() {
    // Large Window Brotli: 0x11, and a window of 2^30 bytes.
    let wide = decoded(&[Encoding::Brotli], &[0x11, 30, 0x03], MAX_STEPS);
    assert!(matches!(wide, Err(Undecodable::Broken(_))));
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
    assert!(matches!(decoded(&[Encoding::Zstd], &wide, MAX_STEPS), Err(Undecodable::Broken(_))));
}
