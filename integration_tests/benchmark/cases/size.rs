//! How cost grows with the account: requests, CPU and time with the records, memory not at all.

use fake_100ms::Fake;

use super::{Bench, Expected, account, sessions};
use crate::Done;
use crate::readers::Reading;
use crate::report::{Aim, grouped};

const PART: &str = "How cost grows: sessions with 3 peers each, 10 workers";

/// What the aims are for.
const HUNDRED_THOUSAND: usize = 100_000;

pub fn measure(bench: &mut Bench) -> Done<()> {
    let sizes = match bench.arguments.sessions {
        Some(size) => vec![size],
        None if bench.arguments.full => vec![10_000, HUNDRED_THOUSAND, 1_000_000],
        None => vec![10_000, HUNDRED_THOUSAND],
    };
    for size in sizes {
        let fake = Fake::start(account(sessions(size)));
        let of = Expected { reading: Reading::of(&["sessions"]), records: Some(size) };
        let name = grouped(size as u64);
        let (mut quick, mut late) = (vec![Aim::Megabytes(25.0)], vec![Aim::Megabytes(25.0)]);
        // A small read is mostly the rounds in which the period is cut into pieces.
        late.extend((size >= HUNDRED_THOUSAND).then_some(Aim::Ratio(1.25)));
        if size == HUNDRED_THOUSAND {
            quick.extend([Aim::Requests(1_040), Aim::Cpu(0.45)]);
            late.extend((bench.arguments.latency == 50).then_some(Aim::Time(6.7)));
        }
        bench.beside_bare(PART, &format!("{name}, no latency"), &fake, &of, &quick)?;
        fake.set_faults(bench.late());
        let case = format!("{name}, {}", bench.latency());
        bench.beside_bare(PART, &case, &fake, &of, &late)?;
    }
    Ok(())
}
