//! Chance that can be repeated.

/// Small pseudo-random numbers from a seed (SplitMix64), so that a failure can be repeated.
pub struct Dice(pub u64);

impl Dice {
    /// A number from 0 to below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// One of the given things; none of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let place = self.roll(of.len().max(1) as u64);
        of.get(usize::try_from(place).ok()?)
    }
}

/// Whether the long form of a run is wanted (`make soak`), and not the short one of `make test`.
pub fn is_soak() -> bool {
    std::env::var_os("PULSETRAIL_SOAK").is_some()
}
