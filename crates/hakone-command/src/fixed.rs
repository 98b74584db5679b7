//! A number as Kyoto Cabinet's `increment_double` keeps it: two integers in sixteen bytes.

/// Parts of the fraction that make one.
const ONE: i64 = 1_000_000_000_000_000;

/// An integer part and a fraction in units of 10^-15, both with the number's sign. Not a number is
/// both at the lowest integer; infinite is the highest integer part, or the lowest with no fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The integer part.
    pub integer: i64,
    /// The fraction.
    pub fraction: i64,
}

impl Fixed {
    /// Zero.
    pub const ZERO: Fixed = Fixed {
        integer: 0,
        fraction: 0,
    };

    /// The number nearest towards zero; infinite where it does not fit.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "what does not fit was told apart, and the fraction is cut on purpose"
    )]
    pub fn from_f64(number: f64) -> Fixed {
        let integer = number.trunc();
        if number.is_nan() {
            return Fixed {
                integer: i64::MIN,
                fraction: i64::MIN,
            };
        }
        if integer >= i64::MAX as f64 {
            return Fixed {
                integer: i64::MAX,
                fraction: 0,
            };
        }
        if integer <= i64::MIN as f64 {
            return Fixed {
                integer: i64::MIN,
                fraction: 0,
            };
        }
        Fixed {
            integer: integer as i64,
            fraction: ((number - integer) * ONE as f64) as i64,
        }
    }

    /// The nearest double.
    #[expect(clippy::cast_precision_loss, reason = "as near as a double can be")]
    pub fn to_f64(self) -> f64 {
        match (self.integer, self.fraction) {
            (i64::MIN, i64::MIN) => f64::NAN,
            (i64::MIN, 0) => f64::NEG_INFINITY,
            (i64::MAX, _) => f64::INFINITY,
            (integer, fraction) => integer as f64 + fraction as f64 / ONE as f64,
        }
    }

    /// The number in sixteen bytes; `None` where there are more or fewer.
    pub fn from_bytes(bytes: &[u8]) -> Option<Fixed> {
        let (integer, fraction) = bytes.split_first_chunk::<8>()?;
        Some(Fixed {
            integer: i64::from_be_bytes(*integer),
            fraction: i64::from_be_bytes(fraction.try_into().ok()?),
        })
    }

    /// The sixteen bytes, big-endian, integer part first.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.integer.to_be_bytes());
        bytes[8..].copy_from_slice(&self.fraction.to_be_bytes());
        bytes
    }

    /// The sum; `None` where it is not a number. Parts are added each by itself, and a fraction of
    /// one or more is carried.
    pub fn plus(self, other: Fixed) -> Option<Fixed> {
        let (a, b) = (self.to_f64(), other.to_f64());
        if !a.is_finite() || !b.is_finite() {
            let sum = a + b;
            return (!sum.is_nan()).then(|| Fixed::from_f64(sum));
        }
        let mut integer = self.integer.wrapping_add(other.integer);
        let mut fraction = self.fraction.wrapping_add(other.fraction);
        if fraction >= ONE {
            integer = integer.wrapping_add(1);
            fraction -= ONE;
        }
        Some(Fixed { integer, fraction })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_two_integers() {
        let number = Fixed::from_f64(-2.25);
        let bytes = number.to_bytes();
        assert_eq!(
            bytes,
            *b"\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\x1c\xa0\x56\xce\x60\x00"
        );
        assert_eq!(Fixed::from_bytes(&bytes), Some(number));
        assert_eq!(Fixed::from_bytes(&bytes[..15]), None);
        assert_eq!(Fixed::from_bytes(&[0; 17]), None);
    }

    #[test]
    fn sums_carry_and_know_what_is_no_number() {
        let sum = |a: f64, b: f64| Fixed::from_f64(a).plus(Fixed::from_f64(b));
        assert_eq!(sum(1.5, 1.75).map(Fixed::to_f64), Some(3.25));
        assert_eq!(sum(-1.5, 0.25).map(Fixed::to_f64), Some(-1.25));
        let infinite = sum(f64::INFINITY, 1.0).map(Fixed::to_f64);
        assert_eq!(infinite, Some(f64::INFINITY));
        assert_eq!(sum(f64::INFINITY, f64::NEG_INFINITY), None);
        assert_eq!(sum(f64::NAN, 1.0), None);
        let most = Fixed {
            integer: i64::MAX - 1,
            fraction: 1,
        };
        assert!(most.plus(most).is_some());
    }
}
