//! When two JSON values are the same: numbers by their value, objects whatever the order of their members
//! (<https://www.rfc-editor.org/rfc/rfc6902#section-4.6>).

use serde_json::Value;

/// Whether two values are the same. Follows no deeper than both go.
pub(super) fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => is_same_number(left.as_str(), right.as_str()),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len() && left.iter().all(|(name, value)| right.get(name).is_some_and(|other| is_same(value, other)))
        }
        (left, right) => left == right,
    }
}

/// Whether two numbers in JSON's spelling have the same value: `1.50` and `15e-1` have.
pub(super) fn is_same_number(left: &str, right: &str) -> bool {
    match (Decimal::of(left), Decimal::of(right)) {
        (Some(left), Some(right)) => left == right,
        // An exponent beyond counting.
        _ => left == right,
    }
}

/// ±0.d₁d₂d₃… × 10^exponent, where neither the first nor the last digit is 0.
#[derive(PartialEq)]
struct Decimal {
    is_negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent = exponent.parse::<i64>().ok()?.checked_add(i64::try_from(whole.len()).ok()?)?;
        let digits = whole.bytes().chain(fraction.bytes());
        let zeros = digits.clone().take_while(|digit| *digit == b'0').count();
        let mut digits: Vec<u8> = digits.skip(zeros).collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits, exponent: 0 });
        }
        Some(Self { is_negative, digits, exponent: exponent.checked_sub(i64::try_from(zeros).ok()?)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_their_value() {
        for (left, right) in [
            ("1", "1.0"),
            ("1.50", "15e-1"),
            ("-0", "0.00"),
            ("100", "1E+2"),
            ("0.001", "1e-3"),
            ("12345678901234567890.10", "12345678901234567890.1"),
        ] {
            assert!(is_same_number(left, right), "{left} = {right}");
        }
        for (left, right) in
            [("1", "-1"), ("1", "10"), ("0.1", "0.01"), ("12345678901234567890", "12345678901234567891"), ("1e99999999999999999999", "1")]
        {
            assert!(!is_same_number(left, right), "{left} ≠ {right}");
        }
        assert!(is_same_number("1e99999999999999999999", "1e99999999999999999999"));
    }

    #[test]
    fn members_may_stand_in_any_order_and_items_may_not() {
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert!(is_same(&value(r#"{"a":1,"b":[1.0,"x"]}"#), &value(r#"{"b":[1,"x"],"a":1}"#)));
        for (left, right) in
            [("[1,2]", "[2,1]"), (r#"{"a":1}"#, r#"{"a":1,"b":null}"#), (r#"{"a":1}"#, r#"{"b":1}"#), ("1", r#""1""#), ("null", "0")]
        {
            assert!(!is_same(&value(left), &value(right)), "{left} ≠ {right}");
        }
    }
}
