//! A decimal as written, with its precision (<https://hl7.org/fhir/R4/search.html#number>).
//!
//! `100` has three significant figures and `1e2` one, so that the former stands for `[99.5, 100.5)` and the latter for `[50, 150)`:
//! half a unit of the last figure written, to both sides. (R4's example says `[95, 105)` of `1e2`, which R5 puts right.)

/// Figures of a decimal.
const FIGURES_MAX: usize = 30;
/// Powers of ten of a decimal.
const EXPONENT_MAX: i32 = 300;

/// `mantissa · 10^exponent`, the last figure of the mantissa being the last one written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    mantissa: i128,
    exponent: i32,
}

impl Decimal {
    /// `None` unless `text` is a decimal as JSON writes it, of reasonable length.
    pub fn parse(text: &str) -> Option<Self> {
        let (figures, exponent) = match text.split_once(['e', 'E']) {
            None => (text, 0),
            Some((figures, exponent)) => {
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if !(1..=4).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                (figures, exponent.parse::<i32>().ok()?)
            }
        };
        let (sign, figures) = figures.strip_prefix('-').map_or((1, figures), |rest| (-1, rest));
        let (whole, fraction) = figures.split_once('.').map_or((figures, None), |(whole, fraction)| (whole, Some(fraction)));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !fraction.is_none_or(is_number) {
            return None;
        }
        let fraction = fraction.unwrap_or_default();
        if whole.len() + fraction.len() > FIGURES_MAX {
            return None;
        }
        let mantissa = format!("{whole}{fraction}").parse::<i128>().ok()?;
        let exponent = exponent - fraction.len() as i32;
        (exponent.abs() <= EXPONENT_MAX)
            .then_some(Self { mantissa: sign * mantissa, exponent })
            .filter(|decimal| decimal.value().is_finite())
    }

    /// The number itself.
    pub fn value(self) -> f64 {
        float(self.mantissa, self.exponent)
    }

    /// Half a unit of the last figure below and above it.
    pub fn implied_range(self) -> (f64, f64) {
        (float(self.mantissa * 10 - 5, self.exponent - 1), float(self.mantissa * 10 + 5, self.exponent - 1))
    }
}

/// The nearest float. Through text, because that is how the numbers in resources become floats: equal decimals must become equal floats.
fn float(mantissa: i128, exponent: i32) -> f64 {
    // OK because digits with an exponent always parse.
    format!("{mantissa}e{exponent}").parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_is_that_of_the_last_figure_written() {
        let cases = [
            ("100", (99.5, 100.5)),
            ("100.00", (99.995, 100.005)),
            ("1e2", (50.0, 150.0)),
            ("1.00e2", (99.5, 100.5)),
            ("5.4", (5.35, 5.45)),
            ("-5.4", (-5.45, -5.35)),
            ("5.40e-3", (0.005_395, 0.005_405)),
            ("0", (-0.5, 0.5)),
        ];
        for (text, expected) in cases {
            assert_eq!(Decimal::parse(text).map(Decimal::implied_range), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        assert_eq!(Decimal::parse("-0.50").map(Decimal::value), Some(-0.5), "the control");
        let long = "1".repeat(31);
        for bad in ["", "-", ".5", "5.", "+5", "1e", "1e+", "1e99999", "1e400", "5,4", "0x1", "NaN", "inf", " 5", "1.2.3", "--1", &long] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
    }
}
