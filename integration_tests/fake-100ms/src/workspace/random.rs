//! Chance, seeded: everything random in the workspace is drawn here.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Timelike, Utc};

/// A seeded source of chance that also remembers the secrets it has made up.
pub(crate) struct Random {
    rng: fastrand::Rng,
    planted: Vec<String>,
}

impl Random {
    /// `salt` keeps the kinds of objects apart: more rooms do not change the sessions.
    pub(crate) fn new(seed: u64, salt: &str) -> Random {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let salted = salt.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
        Random { rng: fastrand::Rng::with_seed(salted ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), planted: Vec::new() }
    }

    /// 0 to n-1, and 0 when n is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.rng.usize(0..n.max(1))
    }

    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.rng.u64(range)
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.rng.f64() < probability
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(0..from.len())]
    }

    /// Different positions below `len`, at most `count` of them.
    pub(crate) fn choose(&mut self, len: usize, count: usize) -> Vec<usize> {
        self.rng.choose_multiple(0..len, count.min(len))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.rng.u64(..)
    }

    pub(crate) fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| self.rng.digit(16)).collect()
    }

    pub(crate) fn uuid(&mut self) -> [u8; 16] {
        self.rng.u128(..).to_le_bytes()
    }

    /// A made-up secret that no other text contains by chance; safe inside a URL.
    pub(crate) fn secret(&mut self, what: &str) -> String {
        let secret = format!("PLANTED-{what}-{}", self.hex(20));
        self.planted.push(secret.clone());
        secret
    }

    /// What lets everybody into a room: `abc-defg-hij`.
    pub(crate) fn room_code(&mut self) -> String {
        let groups = [3, 4, 3].map(|length| (0..length).map(|_| self.rng.lowercase()).collect::<String>());
        let code = groups.join("-");
        self.planted.push(code.clone());
        code
    }

    pub(crate) fn take_planted(&mut self) -> Vec<String> {
        std::mem::take(&mut self.planted)
    }

    /// A time from `earliest` to `latest`, with 0 to 9 digits behind the second.
    pub(crate) fn time_between(&mut self, earliest: DateTime<Utc>, latest: DateTime<Utc>) -> DateTime<Utc> {
        let span = (latest - earliest).num_nanoseconds().unwrap_or(i64::MAX);
        let offset = self.rng.i64(0..=span.max(0));
        let time = self.varied_precision(earliest + TimeDelta::nanoseconds(offset));
        time.clamp(earliest, latest.max(earliest))
    }

    /// Mostly milli-, micro- and nanoseconds, but every number of digits comes up.
    pub(crate) fn varied_precision(&mut self, time: DateTime<Utc>) -> DateTime<Utc> {
        const DIGITS: [u32; 20] = [0, 0, 1, 2, 2, 3, 3, 3, 3, 4, 5, 6, 6, 6, 6, 7, 8, 9, 9, 9];
        let unit = 10_u32.pow(9 - self.pick(&DIGITS));
        let nanoseconds = time.nanosecond() / unit * unit;
        time.with_nanosecond(nanoseconds).unwrap_or(time)
    }

    pub(crate) fn seconds(&mut self, range: RangeInclusive<u64>) -> TimeDelta {
        TimeDelta::milliseconds((self.within(range) * 1000 + self.within(0..=999)) as i64)
    }
}
