//! The program: takes arguments and signals, and returns the exit code.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;
use source_100ms::commands::{Arguments, Ending, Environment, run};
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// After a signal: time to write what is complete. Needed only when the reader is slow; one that has
/// stopped reading without closing the pipe (a client's preview) should not have to wait long.
const GRACE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // A panic's text may quote data; its place is enough to find it.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "source-100ms: internal error at {place}");
    }));
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(run_until_signalled(arguments)),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "source-100ms: no asynchronous runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run_until_signalled(arguments: Arguments) -> ExitCode {
    let stop = CancellationToken::new();
    let command = run(arguments, Environment::of_process(), std::io::stdout(), stop.clone());
    tokio::pin!(command);
    let signal = tokio::select! {
        ended = &mut command => return exit_code(ended),
        signal = next_signal() => Some(signal),
        () = reader_gone() => None,
    };
    stop.cancel();
    let _ = tokio::time::timeout(GRACE, command).await;
    signal.map_or(ExitCode::FAILURE, |signal| end_by(signal))
}

/// Waits until nobody can read standard output any more: what is written would find out, but in a long wait
/// nothing is. Never ends where standard output is no pipe.
async fn reader_gone() {
    let stdout = std::io::stdout().as_fd().try_clone_to_owned().and_then(Sender::from_owned_fd_unchecked);
    match stdout {
        Ok(stdout) if stdout.ready(Interest::ERROR).await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

/// The first signal that asks us to end.
async fn next_signal() -> i32 {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => SIGTERM,
        _ = interrupt.recv() => SIGINT,
    }
}

/// Ends the process as the signal would have: clients tell it apart from an exit code. On the first
/// process of a container a signal has no effect, so there the code says it.
fn end_by(signal: i32) -> ! {
    if std::process::id() != 1 {
        let _ = emulate_default_handler(signal);
    }
    std::process::exit(128 + signal)
}

fn exit_code((ending, written): (Ending, std::io::Result<()>)) -> ExitCode {
    match (written, ending) {
        (Ok(()), Ending::Well) => return ExitCode::SUCCESS,
        // As for every other command line that cannot be understood.
        (Ok(()), Ending::Misused) => return ExitCode::from(2),
        // A reader that has gone away knows.
        (Err(error), _) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "source-100ms: the output cannot be written: {error}");
        }
        _ => {}
    }
    ExitCode::FAILURE
}
