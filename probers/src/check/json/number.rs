//! Numbers of any size, compared exactly as they are written (RFC 8259, section 6).

use std::cmp::Ordering;

/// A number: `0.d₁d₂d₃… · 10^exponent`, without zeros at either end of its digits.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    /// Saturated where it does not fit: there is no room for as many digits.
    exponent: i64,
}

/// How two numbers of JSON compare.
pub(crate) fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (Decimal::of(one), Decimal::of(other));
    match (one.sign(), other.sign()) {
        (0, 0) => Ordering::Equal,
        (sign, other_sign) if sign != other_sign => sign.cmp(&other_sign),
        (1, _) => one.magnitude(&other),
        _ => other.magnitude(&one),
    }
}

impl Decimal {
    fn of(text: &str) -> Self {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, text),
        };
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = whole.bytes().chain(fraction.bytes());
        let zeros = all.clone().take_while(|digit| *digit == b'0').count();
        let mut digits: Vec<u8> = all.skip(zeros).collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let point = whole.len() as i64 - zeros as i64;
        Self { negative, digits, exponent: written(exponent).saturating_add(point) }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits))
    }
}

/// An exponent, saturated.
fn written(exponent: &str) -> i64 {
    let least = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
    exponent.parse().unwrap_or(least)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn numbers_compare_as_they_are_written_and_not_as_floating_point() {
        for (one, other) in [
            ("0", "-0.0e9"),
            ("1", "1.0"),
            ("1", "10e-1"),
            ("0.1", "0.10"),
            ("1e2", "100"),
            ("-12.5E+1", "-125"),
            ("0e99999999999999999999", "0"),
        ] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
        for (less, greater) in [
            ("9007199254740992", "9007199254740993"),
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            ("0.1", "0.10000000000000000001"),
            ("-1", "0"),
            ("-2", "-1"),
            ("9", "10"),
            ("1e-400", "1e-399"),
            ("1e308", "1e309"),
            ("-1e99999999999999999999", "1e-99999999999999999999"),
            ("1e-99999999999999999999", "1e99999999999999999999"),
        ] {
            assert_eq!(compare(less, greater), Ordering::Less, "{less} {greater}");
            assert_eq!(compare(greater, less), Ordering::Greater, "{less} {greater}");
        }
    }
}
