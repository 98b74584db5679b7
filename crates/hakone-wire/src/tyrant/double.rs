//! Numbers with a fraction as two integers: the part before the point, and the part behind it in
//! units of 10^-12, both with the sign.

/// Units of the fraction.
const UNITS: f64 = 1e12;

/// The number that both parts make.
pub(super) fn join(integer: i64, fraction: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a double holds 53 bits of it")]
    match (integer, fraction) {
        (i64::MAX, _) => f64::INFINITY,
        (i64::MIN, i64::MIN) => f64::NAN,
        (i64::MIN, _) => f64::NEG_INFINITY,
        (integer, fraction) => integer as f64 + fraction as f64 / UNITS,
    }
}

/// Both parts of a number; `None` if it is none. What is too large for them is infinite.
pub(super) fn split(number: f64) -> Option<(i64, i64)> {
    if number.is_nan() {
        return None;
    }
    let integer = number.trunc();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast takes what is too large for the largest, which stands for infinity"
    )]
    let (integer, fraction) = (integer as i64, ((number - integer) * UNITS) as i64);
    let is_infinite = integer == i64::MAX || integer == i64::MIN;
    Some((integer, if is_infinite { 0 } else { fraction }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_carry_the_sign_and_lose_what_is_below_their_units() {
        let check = |number: f64, parts| {
            assert_eq!(split(number), parts, "{number}");
            if let Some((integer, fraction)) = parts {
                let again = join(integer, fraction);
                let near = (again - number).abs() < 1e-11;
                assert!(
                    near || number.is_infinite() && again.is_infinite(),
                    "{number}"
                );
            }
        };
        check(0.0, Some((0, 0)));
        check(1.25, Some((1, 250_000_000_000)));
        check(-2.25, Some((-2, -250_000_000_000)));
        check(-0.5, Some((0, -500_000_000_000)));
        check(1e-13, Some((0, 0)));
        check(f64::INFINITY, Some((i64::MAX, 0)));
        check(f64::NEG_INFINITY, Some((i64::MIN, 0)));
        check(f64::NAN, None);
        assert_eq!(split(1e300), Some((i64::MAX, 0)));
        assert_eq!(split(-1e300), Some((i64::MIN, 0)));
        assert!(join(i64::MIN, i64::MIN).is_nan());
        assert!(join(i64::MIN, 0).is_infinite() && join(i64::MIN, 0) < 0.0);
        assert!(join(i64::MAX, 7).is_infinite() && join(i64::MAX, 7) > 0.0);
    }
}
