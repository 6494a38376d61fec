//! Characters that nobody sees: with them a name looks like another one, or reads in another order.

use icu_properties::props::{
    BidiControl, CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, EmojiModifier,
    ExtendedPictographic, GeneralCategory, JoiningType,
};
use icu_properties::{CodePointMapData, CodePointSetData};

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
const TEXT_STYLE: char = '\u{fe0e}';
const EMOJI_STYLE: char = '\u{fe0f}';
const KEYCAP: char = '\u{20e3}';

/// Whether a text has a character that is not seen: a control character, a line or paragraph separator, a
/// control of the direction of text, or another one that has no shape of its own. Let through are joiners and
/// variation selectors where they change the shape of the characters beside them: in emoji, and in scripts whose
/// letters join (RFC 5892, appendices A.1 and A.2).
#[must_use]
pub fn has_hidden_character(text: &str) -> bool {
    // Nearly every text.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return false;
    }
    let characters: Vec<char> = text.chars().collect();
    characters.iter().enumerate().any(|(index, one)| {
        let (before, rest) = characters.split_at(index);
        is_hidden(*one) && !shapes_its_neighbours(before, *one, rest.get(1..).unwrap_or_default())
    })
}

/// Whether nothing of a text is seen: there is nothing but white space and characters without a shape.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|one| one.is_whitespace() || is_hidden(one))
}

fn is_hidden(one: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(one);
    matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    ) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(one)
        || CodePointSetData::new::<BidiControl>().contains(one)
        // Anchors of notes between the lines, and a pattern of Braille without a dot.
        || matches!(one, '\u{fff9}'..='\u{fffb}' | '\u{2800}')
}

fn shapes_its_neighbours(before: &[char], one: char, after: &[char]) -> bool {
    match one {
        TEXT_STYLE | EMOJI_STYLE => before.last().is_some_and(|previous| {
            // Digits are emoji in keycaps alone.
            let is_emoji = CodePointSetData::new::<Emoji>().contains(*previous);
            is_emoji && (!previous.is_ascii() || after.first() == Some(&KEYCAP))
        }),
        ZERO_WIDTH_JOINER => joins_emoji(before, after) || follows_virama(before),
        ZERO_WIDTH_NON_JOINER => follows_virama(before) || separates_letters(before, after),
        _ => false,
    }
}

fn joins_emoji(before: &[char], after: &[char]) -> bool {
    let is_picture = |one: &char| CodePointSetData::new::<ExtendedPictographic>().contains(*one);
    let is_variant =
        |one: &char| *one == EMOJI_STYLE || CodePointSetData::new::<EmojiModifier>().contains(*one);
    let picture = before.iter().rev().find(|one| !is_variant(one));
    picture.is_some_and(is_picture) && after.first().is_some_and(is_picture)
}

fn follows_virama(before: &[char]) -> bool {
    let class = |one: &char| CodePointMapData::<CanonicalCombiningClass>::new().get(*one);
    before.last().is_some_and(|one| class(one) == CanonicalCombiningClass::Virama)
}

/// Whether both letters beside it would join.
fn separates_letters(before: &[char], after: &[char]) -> bool {
    let joining = |one: &char| CodePointMapData::<JoiningType>::new().get(*one);
    let seen = |one: &JoiningType| *one != JoiningType::Transparent;
    let previous = before.iter().rev().map(joining).find(seen);
    let next = after.iter().map(joining).find(seen);
    matches!(previous, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
        && matches!(next, Some(JoiningType::RightJoining | JoiningType::DualJoining))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_found() {
        let hidden = [
            '\0',
            '\n',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{17b4}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{1d173}',
            '\u{e0041}',
            '\u{e0100}',
        ];
        for one in hidden {
            assert!(has_hidden_character(&format!("adm{one}in")), "{one:?}");
            assert!(has_hidden_character(&format!("{one}")), "{one:?}");
            assert!(is_blank(&format!(" {one}\u{a0}")), "{one:?}");
        }
    }

    #[test]
    fn what_is_seen_is_let_through_in_every_script() {
        for text in [
            "",
            "Ops – EU (prod) #1",
            "Jörg Müller-Lüdenscheidt",
            "Ελένη 北京 監視 서울 ไทย",
            "שלום مرحبا",
            // Persian with a non-joiner, Hindi and Sinhala with viramas and joiners.
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "ශ්\u{200d}රී",
            // A technologist of a skin tone, a heart, a keycap, a flag.
            "👩🏽\u{200d}💻",
            "❤\u{fe0f}\u{200d}🔥",
            "1\u{fe0f}\u{20e3}",
            "🇩🇪 e\u{301}",
        ] {
            assert!(!has_hidden_character(text), "{text:?}");
            assert!(text.is_empty() || !is_blank(text), "{text:?}");
        }
    }

    #[test]
    fn a_joiner_without_anything_to_join_is_hidden() {
        for text in
            ["a\u{200d}b", "👩\u{200d}b", "a\u{200c}b", "1\u{fe0f}2", "a\u{fe0f}", "م\u{200c}"]
        {
            assert!(has_hidden_character(text), "{text:?}");
        }
    }
}
