//! Complex numbers: as much of them as answers need.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// `re + i·im`
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Complex {
    pub(super) re: f64,
    pub(super) im: f64,
}

impl Complex {
    pub(super) const ZERO: Self = Self::real(0.0);
    pub(super) const ONE: Self = Self::real(1.0);
    pub(super) const I: Self = Self { re: 0.0, im: 1.0 };

    pub(super) const fn real(re: f64) -> Self {
        Self { re, im: 0.0 }
    }

    pub(super) fn is_finite(self) -> bool {
        self.re.is_finite() && self.im.is_finite()
    }

    pub(super) fn is_real(self) -> bool {
        self.im == 0.0
    }

    pub(super) fn abs(self) -> f64 {
        self.re.hypot(self.im)
    }

    pub(super) fn exp(self) -> Self {
        let size = self.re.exp();
        if self.is_real() { Self::real(size) } else { Self { re: size * self.im.cos(), im: size * self.im.sin() } }
    }

    /// Principal branch.
    pub(super) fn ln(self) -> Self {
        if self.is_real() && self.re > 0.0 {
            return Self::real(self.re.ln());
        }
        Self { re: self.abs().ln(), im: self.im.atan2(self.re) }
    }

    /// Principal branch; whole powers by multiplication.
    pub(super) fn power(self, exponent: Self) -> Self {
        if exponent.is_real() && exponent.re.fract() == 0.0 && exponent.re.abs() <= 64.0 {
            let size = (0..exponent.re.abs() as u32).fold(Self::ONE, |product, _| product * self);
            return if exponent.re < 0.0 { Self::ONE / size } else { size };
        }
        if exponent.is_real() && self.is_real() && (self.re >= 0.0 || exponent.re.fract() == 0.0) {
            return Self::real(self.re.powf(exponent.re));
        }
        (exponent * self.ln()).exp()
    }
}

impl Add for Complex {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

impl Sub for Complex {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Complex {
    type Output = Self;
    fn neg(self) -> Self {
        Self { re: -self.re, im: -self.im }
    }
}

impl Mul for Complex {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        if self.is_real() && other.is_real() {
            return Self::real(self.re * other.re);
        }
        Self { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }
}

impl Div for Complex {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        if self.is_real() && other.is_real() {
            return Self::real(self.re / other.re);
        }
        let size = other.re * other.re + other.im * other.im;
        self * Self { re: other.re / size, im: -other.im / size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_of_minus_one() {
        let half = Complex::real(0.5);
        let root = Complex::real(-1.0).power(half);
        assert!((root - Complex::I).abs() < 1e-15);
        assert!(((Complex::I * Complex::real(std::f64::consts::PI)).exp() + Complex::ONE).abs() < 1e-15);
        assert_eq!(Complex::I * Complex::I, Complex::real(-1.0));
        assert_eq!(Complex::ONE / Complex::I, -Complex::I);
        assert_eq!(Complex::real(2.0).power(Complex::real(-2.0)), Complex::real(0.25));
    }
}
