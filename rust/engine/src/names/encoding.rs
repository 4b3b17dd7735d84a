//! Any text as a path of lower-case ASCII, in the same order, and back.
//!
//! A name is cut at `/` into parts; a `/` at the beginning of a part belongs to the part (so `a//b` has the parts `a` and `/b`, and
//! only a name's last part can be empty). Each character becomes a token; tokens sort as the characters do (Unicode code points,
//! and so bytes of UTF-8), and none is the beginning of another:
//!
//! ```text
//! U+0000–U+002C   ! and two hex digits             0–9 a–z        themselves
//! -               itself                           _              __
//! .               ._                               `              _~
//! / in a part     .z                               U+007B–U+07FF  ~ and 3 digits  ⎫ base 32 (0–9 a–v), the first digit
//! :–@             =0–=6                            U+0800–U+FFFF  ~ and 4 digits  ⎬ 0 or 1, 2 or 3, 4 or 5 tells
//! A–Z             =a–=z                            beyond         ~ and 5 digits  ⎭ how many there are
//! [ \ ] ^         =~0–=~3                          empty part     !
//! ```
//!
//! Never `.` or `..`, never an empty part, never an upper-case letter. On a folder a part longer than [`MAX_PART`] is cut between
//! tokens and ends in `~z` and 40 hex digits of the part's BLAKE3; its text then stands in the document's envelope.

use crate::{Error, Result, digest};

pub use crate::format::envelope::MAX_NAME;

/// The longest part of a path, one byte for what tells a document from a folder left out.
pub const MAX_PART: usize = 199;
/// Begins the hash of a part that was cut.
const CUT: &str = "~z";
const HASH_DIGITS: usize = 40;
const BASE32: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Refuse what is no name.
///
/// # Errors
/// `name`: empty, or longer than [`MAX_NAME`] bytes of UTF-8.
pub fn check(name: &str) -> Result<()> {
    match name.len() {
        0 => Err(Error::invalid("name", "a document's name must not be empty")),
        1..=MAX_NAME => Ok(()),
        len => Err(Error::invalid("name", format!("a document's name has {len} bytes of UTF-8, more than {MAX_NAME}"))),
    }
}

/// The parts of a name, or of the beginning of one.
pub(super) fn parts(name: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = name;
    loop {
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let found = rest.get(first..).and_then(|tail| tail.find('/')).and_then(|at| first.checked_add(at));
        match found.and_then(|at| Some((rest.get(..at)?, rest.get(at.checked_add(1)?..)?))) {
            Some((part, behind)) => {
                parts.push(part);
                rest = behind;
            }
            None => {
                parts.push(rest);
                return parts;
            }
        }
    }
}

/// A whole name, no part cut.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (n, part) in parts(name).into_iter().enumerate() {
        if n > 0 {
            out.push('/');
        }
        encode_part(part, &mut out);
    }
    out
}

/// The name that was encoded; `None` for what is no encoding.
pub fn decode(path: &str) -> Option<String> {
    let mut name = String::with_capacity(path.len());
    for (n, part) in path.split('/').enumerate() {
        if n > 0 {
            name.push('/');
        }
        decode_part(part, &mut name)?;
    }
    (encode(&name) == path).then_some(name)
}

/// The part as it stands in a folder: encoded, cut where it is too long.
pub(super) fn folder_part(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    encode_part(part, &mut out);
    if out.len() > MAX_PART {
        let room = MAX_PART.saturating_sub(CUT.len()).saturating_sub(HASH_DIGITS);
        let mut kept = String::with_capacity(MAX_PART);
        for c in part.chars() {
            let before = kept.len();
            push(c, &mut kept);
            if kept.len() > room {
                kept.truncate(before);
                break;
            }
        }
        let hash =
            digest::hash(part.as_bytes()).as_bytes().iter().fold(String::new(), |hex, b| format!("{hex}{b:02x}"));
        kept.push_str(CUT);
        kept.extend(hash.chars().take(HASH_DIGITS));
        out = kept;
    }
    out
}

/// Whether a part of a path was cut, its text thus stands elsewhere.
pub(super) fn is_cut(part: &str) -> bool {
    let at = part.len().checked_sub(CUT.len().saturating_add(HASH_DIGITS));
    at.and_then(|at| part.get(at..)).is_some_and(|tail| tail.starts_with(CUT))
}

/// The encoding of a part's text.
fn encode_part(part: &str, out: &mut String) {
    if part.is_empty() {
        out.push('!');
    }
    part.chars().for_each(|c| push(c, out));
}

/// One character's token.
fn push(c: char, out: &mut String) {
    let code = u32::from(c);
    match c {
        '-' | '0'..='9' | 'a'..='z' => out.push(c),
        '.' => out.push_str("._"),
        '/' => out.push_str(".z"),
        '_' => out.push_str("__"),
        '`' => out.push_str("_~"),
        'A'..='Z' => out.extend(['=', c.to_ascii_lowercase()]),
        '\0'..='\x2c' => out.extend(['!', digit(code >> 4), digit(code & 15)]),
        ':'..='@' => out.extend(['=', digit(code.saturating_sub(0x3A))]),
        '['..='^' => out.extend(['=', '~', digit(code.saturating_sub(0x5B))]),
        _ => {
            let (first, digits) = match code {
                0..=0x7FF => (0, 2),
                0x800..=0xFFFF => (2, 3),
                _ => (4, 4),
            };
            out.push('~');
            out.push(digit(first | code.checked_shr(bits(digits)).unwrap_or(0)));
            (0..digits).rev().for_each(|n| out.push(digit(code.checked_shr(bits(n)).unwrap_or(0) & 31)));
        }
    }
}

/// What so many digits hold.
fn bits(digits: u32) -> u32 {
    digits.saturating_mul(5)
}

fn digit(value: u32) -> char {
    usize::try_from(value).ok().and_then(|value| BASE32.get(value)).map_or('0', |b| char::from(*b))
}

/// Append a part's text; `None` for what no text becomes. (That the tokens are the shortest is for the caller to see.)
pub(super) fn decode_part(part: &str, out: &mut String) -> Option<()> {
    if part == "!" {
        return Some(());
    }
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '-' | '0'..='9' | 'a'..='z' => c,
            '.' => match chars.next()? {
                '_' => '.',
                'z' => '/',
                _ => return None,
            },
            '_' => match chars.next()? {
                '_' => '_',
                '~' => '`',
                _ => return None,
            },
            '=' => match chars.next()? {
                letter @ 'a'..='z' => letter.to_ascii_uppercase(),
                '~' => char::from_u32(value(chars.next()?)?.checked_add(0x5B)?).filter(|c| *c <= '^')?,
                number => char::from_u32(value(number)?.checked_add(0x3A)?).filter(|c| *c <= '@')?,
            },
            '!' => char::from_u32(number(&mut chars, 2, 16)?).filter(|c| *c <= '\x2c')?,
            '~' => {
                let first = value(chars.next()?)?;
                let digits = match first {
                    0 | 1 => 2,
                    2 | 3 => 3,
                    4 | 5 => 4,
                    _ => return None,
                };
                let high = (first & 1).checked_shl(bits(digits))?;
                char::from_u32(high | number(&mut chars, digits, 32)?).filter(|c| *c >= '{')?
            }
            _ => return None,
        });
    }
    Some(())
}

fn value(digit: char) -> Option<u32> {
    BASE32.iter().position(|b| char::from(*b) == digit).and_then(|at| u32::try_from(at).ok())
}

fn number(chars: &mut std::str::Chars<'_>, digits: u32, base: u32) -> Option<u32> {
    (0..digits).try_fold(0_u32, |sum, _| {
        let digit = value(chars.next()?).filter(|digit| *digit < base)?;
        sum.checked_mul(base)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_names_stay_readable() {
        assert_eq!(encode("runs/2026-11/model_v2"), "runs/2026-11/model__v2");
        assert_eq!(encode("Model V2.json"), "=model!20=v2._json");
        assert_eq!(encode("größe"), "gr~07m~06ve");
    }

    #[test]
    fn no_name_escapes_its_folder() {
        for name in [
            "..",
            ".",
            "../../etc/passwd",
            "/etc/passwd",
            "a/../b",
            "a//b",
            "a/",
            "//",
            "a\0b",
            "a/./b",
            "~/x",
            "C:\\x",
        ] {
            let path = encode(name);
            assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{name:?} became {path:?}");
            assert!(path.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()), "{path:?}");
            assert_eq!(decode(&path).as_deref(), Some(name));
        }
    }

    #[test]
    fn every_character_sorts_as_itself() {
        let mut last = String::new();
        for c in (0..=0x10_FFFF).filter_map(char::from_u32) {
            // Behind another character: at the beginning of a part a slash is another token.
            let path = encode(&format!("a{c}"));
            assert!(last < path, "{c:?}: {last:?} {path:?}");
            assert_eq!(decode(&path), Some(format!("a{c}")));
            last = path;
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        assert!(check("").is_err() && check(&"é".repeat(351)).is_err() && check(&"é".repeat(350)).is_ok());
        for path in [
            "", "A", "a b", ".", "..", "_", "!", "!2", "!2d", "=", "=7", "=~4", "~", "~000", "~60000", "~2000z",
            "a//b", ".za/", "a+",
        ] {
            assert!(decode(path).is_none() || path == "!", "{path:?}");
        }
    }

    #[test]
    fn a_long_part_is_cut_and_says_so() {
        let (one, two) = ("x".repeat(300), format!("{}y", "x".repeat(300)));
        assert!(folder_part(&one).len() <= MAX_PART && is_cut(&folder_part(&one)));
        assert_ne!(folder_part(&one), folder_part(&two));
        assert!(!is_cut(&folder_part(&"x".repeat(MAX_PART))));
        let wide = "\u{1F600}".repeat(100);
        assert!(folder_part(&wide).len() <= MAX_PART && is_cut(&folder_part(&wide)));
    }

    /// Text with much of what is special.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[-./_a-cA-C0-2 !=~`:^{|é中😀]{0,8}",
            proptest::collection::vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect()),
            "(a|/|\\.|-|!|0){0,6}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn two_names_never_meet_and_keep_their_order(one in text(), two in text()) {
            prop_assert_eq!(one.as_bytes().cmp(two.as_bytes()), encode(&one).as_bytes().cmp(encode(&two).as_bytes()));
            prop_assert_eq!(decode(&encode(&one)), Some(one));
        }

        #[test]
        fn what_decodes_is_an_encoding(path in "[-./_=!~a-d0-5z]{1,8}") {
            if let Some(name) = decode(&path) {
                prop_assert_eq!(encode(&name), path);
            }
        }
    }
}
