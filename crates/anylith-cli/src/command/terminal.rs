//! A terminal that is drawn over again and again, and left as it was.

use std::{
    io::{self, IsTerminal as _, Read as _, Write as _},
    thread,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

/// A screen of its own without a cursor, and the way back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the beginning, and at the end away with what was there before.
const HOME: &str = "\x1b[H";
const CLEAR_BELOW: &str = "\x1b[J";
/// Away with the rest of a line.
const CLEAR_RIGHT: &str = "\x1b[K";

/// How much can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) columns: usize,
    pub(super) lines: usize,
}

impl Room {
    /// Where nothing has to be left out.
    pub(super) const PLENTY: Self = Self {
        columns: 80,
        lines: usize::MAX,
    };
}

/// A key that was pressed.
pub(super) enum Key {
    Quit,
    Other,
}

/// The terminal of this command, on a screen of its own until this is dropped.
pub(super) struct Terminal {
    /// As it was, if keys are read from it.
    before: Option<Termios>,
    keys: mpsc::Receiver<u8>,
}

impl Terminal {
    /// The terminal; `None` if the output goes elsewhere.
    pub(super) fn open() -> io::Result<Option<Self>> {
        if !io::stdout().is_terminal() {
            return Ok(None);
        }
        // A key that nobody has looked at yet is enough to know that there are some.
        let (pressed, keys) = mpsc::channel(8);
        let before = match io::stdin().is_terminal() {
            true => Some(take_keys()?),
            false => None,
        };
        let terminal = Self { before, keys };
        if terminal.before.is_some() {
            // It ends with the process: a thread that waits for a key cannot be told to stop.
            thread::spawn(move || {
                for key in io::stdin().lock().bytes().map_while(Result::ok) {
                    if pressed.blocking_send(key).is_err() {
                        return;
                    }
                }
            });
        }
        let mut out = io::stdout().lock();
        out.write_all(ENTER.as_bytes())?;
        out.flush()?;
        Ok(Some(terminal))
    }

    /// The next key.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub(super) async fn key(&mut self) -> Key {
        match self.keys.recv().await {
            Some(b'q' | b'Q') => Key::Quit,
            Some(_) => Key::Other,
            // No key can come.
            None => std::future::pending().await,
        }
    }

    /// How much of it can be written on.
    pub(super) fn room(&self) -> Room {
        let size = tcgetwinsize(io::stdout()).ok();
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        match size {
            Some(size) => Room {
                columns: size.ws_col.into(),
                lines: size.ws_row.into(),
            },
            None => Room {
                columns: 80,
                lines: 24,
            },
        }
    }

    /// Shows `text` in the place of what was there.
    pub(super) fn show(&mut self, text: &str) -> io::Result<()> {
        let text = text.trim_end_matches('\n');
        let lines: Vec<String> = text
            .lines()
            .map(|line| format!("{line}{CLEAR_RIGHT}"))
            .collect();
        let text = lines.join("\r\n");
        let mut out = io::stdout().lock();
        write!(out, "{HOME}{text}{CLEAR_BELOW}")?;
        out.flush()
    }
}

/// Has keys come one by one, and not be shown; returns how that was before. Ctrl-C still sends its signal.
fn take_keys() -> io::Result<Termios> {
    let before = tcgetattr(io::stdin())?;
    let mut raw = before.clone();
    raw.local_modes
        .remove(LocalModes::ICANON | LocalModes::ECHO);
    tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
    Ok(before)
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Where it is gone, nothing has to be put back.
        let mut out = io::stdout().lock();
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}
